"""The choice among candidates: the simplest that is within noise of the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Candidacy:
    """A candidate's cross-entropy (m,) of the examples ``rows`` (m,), ascending: those that it did not learn from."""

    name: str
    rows: NDArray[np.int64]
    nll: NDArray[np.float64]


def paired_gap(one: Candidacy, other: Candidacy) -> tuple[float, float, int]:
    """Mean of one − other over the examples that neither learned from, its standard error, and how many these are."""
    _, mine, theirs = np.intersect1d(one.rows, other.rows, assume_unique=True, return_indices=True)
    gap = one.nll[mine] - other.nll[theirs]
    error = float(gap.std(ddof=1) / len(gap) ** 0.5) if len(gap) > 1 else 0.0
    return float(gap.mean()), error, len(gap)


def choose_simplest(candidacies: Sequence[Candidacy], margin: float) -> Candidacy:
    """The first of ``candidacies`` that loses to the best of them by no more than ``margin`` paired standard errors.

    They come simplest first. Those of the same examples choose among themselves, the best being the one of the lowest
    mean; what they chose keeps its place unless the choice of others beats it on the examples that both have. So few
    examples, where some candidates learned from the rest, blur no comparison of those that learned from none.

    Reference: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, §3.4.3 (the one standard
    error rule).

    >>> rows = np.arange(4)
    >>> original = Candidacy("original", rows, np.array([1.0, 2.0, 1.0, 2.0]))
    >>> lucky = Candidacy("lucky", rows, np.array([0.9, 2.0, 1.0, 2.0]))
    >>> choose_simplest([original, lucky], 1.0).name
    'original'
    """

    def near(one: Candidacy, other: Candidacy) -> bool:
        gap, error, _ = paired_gap(one, other)
        return gap <= margin * error

    same: dict[bytes, list[Candidacy]] = {}
    for candidacy in candidacies:
        same.setdefault(candidacy.rows.tobytes(), []).append(candidacy)
    bests = [min(group, key=lambda item: item.nll.mean()) for group in same.values()]
    chosen = [
        next(item for item in group if near(item, best)) for group, best in zip(same.values(), bests, strict=True)
    ]
    return reduce(lambda one, other: one if near(one, other) else other, sorted(chosen, key=[*candidacies].index))
