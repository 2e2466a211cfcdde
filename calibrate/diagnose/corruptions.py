"""Means over corruptions, and how they differ between two networks that saw the same corrupted images."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibrate.metrics import PerExample, interval, mean_samples
from calibrate.steps import Corruption, CorruptionMean, TopOneAndNll
from calibrate.values import Estimate

#: Of one arm, for each example: whether it is right, and its cross-entropy; (2, n).
Seen = NDArray[np.float64]


def seen(scores: PerExample) -> Seen:
    """What is kept of one arm's scores."""
    return np.stack([scores.top1, scores.nll])


def means(columns: Seen) -> TopOneAndNll:
    """The means over the examples."""
    top1, nll = columns.mean(1)
    return TopOneAndNll(top1=top1, nll=nll)


def corruption_means(
    clean: Sequence[Seen], corrupted: Mapping[tuple[Corruption, int], Sequence[Seen]], *, resamples: int, seed: int
) -> tuple[CorruptionMean, ...]:
    """Means of the clean images, over the severities of each corruption, and over all corruptions and severities.

    The arms are the original network and, where there is a second, the tuned one; all hold the same n examples. An
    interval redraws the examples, each with all its corrupted images, and not the corruptions; a resample is the same
    in every row.
    """
    rows: dict[Corruption | Literal["all", "clean"], list[Sequence[Seen]]] = {"clean": [clean]}
    for (corruption, _), arms in corrupted.items():
        rows.setdefault(corruption, []).append(arms)
    rows["all"] = list(corrupted.values())
    arms_of = {name: [np.mean(arm, axis=0) for arm in zip(*cells, strict=True)] for name, cells in rows.items()}
    changes: dict[str, tuple[Estimate, Estimate]] = {}
    if len(clean) == 2:
        differences = {name: tuned - original for name, (original, tuned) in arms_of.items()}
        samples = mean_samples(np.concatenate(list(differences.values())).T, resamples=resamples, seed=seed)
        spread = dict(zip(differences, np.split(samples, len(differences), axis=1), strict=True))
        changes = {name: _estimates(differences[name], spread[name]) for name in differences}
    return tuple(
        CorruptionMean(
            corruption=name,
            original=means(arms[0]),
            tuned=means(arms[1]) if arms[1:] else None,
            top1_change=changes[name][0] if changes else None,
            nll_change=changes[name][1] if changes else None,
        )
        for name, arms in arms_of.items()
    )


def _estimates(difference: Seen, samples: NDArray[np.float64]) -> tuple[Estimate, Estimate]:
    """Top-1's and NLL's, from the differences (2, n) and their resampled means (resamples, 2)."""
    top1, nll = (
        Estimate(value=value, low=low, high=high)
        for value, (low, high) in zip(difference.mean(1).tolist(), map(interval, samples.T), strict=True)
    )
    return top1, nll
