"""Holm's correction: p-values of several tests of which any may come out by chance.

Reference: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979.
"""

from collections.abc import Sequence


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
