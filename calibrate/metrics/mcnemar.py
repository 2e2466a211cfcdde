"""McNemar's test: are as many answers fixed as broken?

Reference: McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
Psychometrika 12, 1947; in its exact form, the binomial test.
"""


def mcnemar(fixed: int, broken: int) -> float:
    """The two-sided p of ``fixed`` against ``broken`` if each change were a fair coin's: min(1, 2 · P(X ≤ min)).

    X ~ Binomial(fixed + broken, 1/2). Without a change, p = 1. Summed in whole numbers, so that nothing is rounded.

    >>> mcnemar(5, 0), mcnemar(3, 3)
    (0.0625, 1.0)
    """
    n = fixed + broken
    term = tail = 1
    for k in range(1, min(fixed, broken) + 1):
        term = term * (n - k + 1) // k
        tail += term
    return min(1.0, 2 * tail / (1 << n))
