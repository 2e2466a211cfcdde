"""The choice among candidates: the simplest that is within noise of the best."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def choose_simplest(candidacies: Sequence[Candidacy], yardstick: Candidacy, margin: float) -> Candidacy:
    """The first of ``candidacies`` that loses to the best of them by no more than ``margin`` paired standard errors.

    They come simplest first. The best has the lowest mean cross-entropy against ``yardstick``, which has seen all
    examples: candidates that held different examples back are compared by it.

    Reference: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, §3.4.3 (the one standard
    error rule).

    >>> rows = np.arange(4)
    >>> plain = Candidacy("plain", rows, np.array([1.0, 2.0, 1.0, 2.0]))
    >>> lucky = Candidacy("lucky", rows, np.array([0.9, 2.0, 1.0, 2.0]))
    >>> choose_simplest([plain, lucky], plain, 1.0).name
    'plain'
    """
    best = min(candidacies, key=lambda item: paired_gap(item, yardstick)[0])
    for candidacy in candidacies:
        gap, error, _ = paired_gap(candidacy, best)
        if gap <= margin * error:
            return candidacy
    return best
