"""The split: one half to choose on, one half to report on."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import DataError
from calibrate.generators import numpy_generator
from calibrate.result import Finding


@dataclass(frozen=True, slots=True)
class Split:
    """Ascending indices of the two halves: anything is chosen on ``calibration`` and reported on ``holdout``.

    ``stratified`` says that every class has examples in both.
    """

    calibration: NDArray[np.int64]
    holdout: NDArray[np.int64]
    stratified: bool
    findings: tuple[Finding, ...]


def split(labels: NDArray[np.int64], seed: int) -> Split:
    """Halve each class at random; what is left over is halved at random as well.

    Left over is one example of each class with an odd number, so also each class with a single example. The halves
    differ by at most one example, which the calibration half gets. The same labels and seed give the same halves.

    >>> halves = split(np.array([0, 0, 0, 0, 1, 1]), seed=0)
    >>> len(halves.calibration), len(halves.holdout), halves.stratified
    (3, 3, True)
    """
    if len(labels) < 2:
        raise DataError(
            f"the data hold {len(labels)} example(s); a split in halves needs 2, and many more to mean much."
        )
    random = numpy_generator(seed)
    shuffled = random.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, counts = np.unique(labels, return_counts=True)
    size = np.repeat(counts, counts)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    left_over = (size % 2 == 1) & (place == size - 1)
    turns = np.where(left_over, 0, place % 2)
    turns[random.permutation(np.flatnonzero(left_over))] = np.arange(left_over.sum()) % 2
    single = int((counts == 1).sum())
    return Split(
        calibration=np.sort(by_class[turns == 0]),
        holdout=np.sort(by_class[turns == 1]),
        stratified=single == 0,
        findings=_findings(single, len(counts)),
    )


def hold_back(labels: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending indices to learn from, and of a quarter to judge on: a half of a half, each split as :func:`split`'s.

    >>> learned, held_back = hold_back(np.repeat([0, 1], 8), seed=0)
    >>> len(learned), np.bincount(np.repeat([0, 1], 8)[held_back]).tolist()
    (12, [2, 2])
    """
    half = split(labels, seed).holdout
    held_back = half[split(labels[half], seed).holdout]
    return np.setdiff1d(np.arange(len(labels)), held_back), held_back


def split_unlabelled(n: int, seed: int) -> Split:
    """Halve ``n`` examples without labels at random, as :func:`split` does those of a single class."""
    return replace(split(np.zeros(n, dtype=np.int64), seed), stratified=False)


def _findings(single: int, classes: int) -> tuple[Finding, ...]:
    if not single:
        return ()
    message = (
        f"{single} of {classes} classes have one example; these examples were split at random, so that each of these "
        f"classes is in one half only."
    )
    return (Finding(code="not-stratified", severity="info", message=message),)
