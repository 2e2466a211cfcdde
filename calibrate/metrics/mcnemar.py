"""McNemar's test: are as many answers fixed as broken?

Reference: McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
Psychometrika 12, 1947; in its exact form, the binomial test.
"""

from math import exp, fsum, lgamma, log


def mcnemar(fixed: int, broken: int) -> float:
    """The two-sided p of ``fixed`` against ``broken`` if each change were a fair coin's: min(1, 2 · P(X ≤ min)).

    X ~ Binomial(fixed + broken, 1/2). Without a change, p = 1.

    >>> mcnemar(5, 0), mcnemar(3, 3)
    (0.0625, 1.0)
    """
    n = fixed + broken
    tail = fsum(
        exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2)) for k in range(min(fixed, broken) + 1)
    )
    return min(1.0, round(2 * tail, 15))
