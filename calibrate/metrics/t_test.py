"""The one-sided paired t-test: is the mean of the differences above 0?

Reference: Student, The probable error of a mean, Biometrika 6, 1908; the distribution function for whole degrees of
freedom is Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, copysign, inf, pi, sqrt
from statistics import mean, stdev


@dataclass(frozen=True, slots=True)
class PairedTTest:
    """The mean difference of n pairs, its t with n − 1 degrees of freedom, and the p of ``mean ≤ 0``."""

    mean: float
    t: float
    p: float


def paired_t_test(values: Sequence[float], baseline: Sequence[float]) -> PairedTTest:
    """Test whether ``values`` lie above ``baseline``, their pairs, on average: t = d̄ / (s / √n), p = P(T ≥ t).

    Where all differences are equal, t is 0 or infinite. p is right to about 1e-14.

    >>> test = paired_t_test([0.7, 0.8, 0.9], [0.6, 0.75, 0.7])
    >>> round(test.t, 3), round(test.p, 4)
    (2.646, 0.059)
    """
    differences = [value - other for value, other in zip(values, baseline, strict=True)]
    average, spread = mean(differences), stdev(differences) / sqrt(len(differences))
    t = average / spread if spread else copysign(inf, average) if average else 0.0
    return PairedTTest(average, t, _above(t, len(differences) - 1))


def _above(t: float, freedom: int) -> float:
    """P(T ≥ t) for Student's t with ``freedom`` ≥ 1 degrees of freedom, a finite sum."""
    angle = atan2(abs(t), sqrt(freedom))
    sine, cosine = (
        (1.0, 0.0) if t in (inf, -inf) else (abs(t) / sqrt(freedom + t * t), sqrt(freedom / (freedom + t * t)))
    )
    first = freedom % 2
    term = total = cosine if first else 1.0
    for k in range(2 + first, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    within = 2 / pi * (angle + (sine * total if freedom > 1 else 0.0)) if first else sine * total
    return (1 - within) / 2 if t > 0 else (1 + within) / 2
