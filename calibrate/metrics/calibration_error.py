"""Expected calibration error and the reliability diagram: how far confidence and accuracy lie apart.

Reference: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, equations 2 to 5.
"""

import numpy as np
from numpy.typing import NDArray

from calibrate.metrics.scores import Column, PerExample
from calibrate.steps import Bin


def expected_calibration_error(confidence: Column, correct: Column, bins: int) -> float:
    """Σ_b (n_b / n) · |accuracy_b − confidence_b| over ``bins`` bins (low, high] of equal width, b = 1 … bins.

    ``confidence`` and ``correct`` (0 or 1) have shape (n,). Equal to torchmetrics' ``MulticlassCalibrationError`` with
    ``norm="l1"`` wherever no confidence lies on an edge: its bins are [low, high), with a bin of its own for 1.

    >>> expected_calibration_error(np.array([0.9, 0.8, 0.3]), np.array([1.0, 0.0, 0.0]), bins=2)
    0.333...
    """
    gap = np.bincount(bin_index(confidence, bins), weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def reliability(per_example: PerExample, bins: int) -> tuple[Bin, ...]:
    """Every bin, in ascending confidence; an empty one has count, confidence and accuracy 0."""
    index = bin_index(per_example.confidence, bins)
    count = np.bincount(index, minlength=bins)
    confidence, accuracy = (
        np.bincount(index, weights=column, minlength=bins) / np.maximum(count, 1)
        for column in (per_example.confidence, per_example.top1)
    )
    edges = _edges(bins)
    return tuple(
        Bin(low=edges[b], high=edges[b + 1], count=count[b], confidence=confidence[b], accuracy=accuracy[b])
        for b in range(bins)
    )


def bin_index(confidence: Column, bins: int) -> NDArray[np.int64]:
    """The bin (low, high] of each confidence in [0, 1], numbered from 0; a confidence of 0 is in the first."""
    return np.searchsorted(_edges(bins)[1:-1], confidence, side="left")


def _edges(bins: int) -> Column:
    return np.linspace(0, 1, bins + 1)
