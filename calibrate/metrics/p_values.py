"""McNemar's test: are as many predictions fixed as broken?

Reference: McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
Psychometrika 12, 1947; in its exact form, the binomial test.
"""

from collections.abc import Sequence


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


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Each p-value as it counts among all m: rejecting those up to 0.05 errs anywhere at most once in 20 times.

    The k-th smallest is multiplied by m − k + 1, and is never below a smaller one; at most 1.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return tuple(adjusted)
