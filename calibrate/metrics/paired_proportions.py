"""The adjusted Wald interval of a difference between two proportions of the same examples.

Reference: Bonett and Price, Adjusted Wald confidence interval for a difference of binomial proportions based on paired
data, Journal of Educational and Behavioral Statistics 37, 2012, equation 3.
"""

from math import sqrt

#: The 97.5th percentile of the standard normal distribution.
Z = 1.959963984540054


def paired_interval(fixed: int, broken: int, n: int) -> tuple[float, float]:
    """The 95 % interval of (fixed − broken) / n, kept in [−1, 1].

    With p = (fixed + 1) / (n + 2), q = (broken + 1) / (n + 2) and d = p − q::

        d ± z √((p + q − d²) / (n + 2))

    ``fixed`` of the n examples are right only after the change, ``broken`` only before.
    Made for few examples: without a change it is no point, and it is the wider the fewer examples there are.

    >>> [round(end, 3) for end in paired_interval(30, 10, 100)]
    [0.078, 0.315]
    >>> [round(end, 3) for end in paired_interval(0, 0, 8)]
    [-0.277, 0.277]
    """
    p, q = (fixed + 1) / (n + 2), (broken + 1) / (n + 2)
    half = Z * sqrt((p + q - (p - q) ** 2) / (n + 2))
    return max(p - q - half, -1.0), min(p - q + half, 1.0)
