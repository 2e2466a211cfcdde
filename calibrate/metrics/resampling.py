"""Paired percentile bootstrap: how the metrics of several arms vary, together, over redrawn examples.

Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from calibrate.generators import numpy_generator
from calibrate.metrics.calibration_error import bin_index
from calibrate.metrics.scores import Column, PerExample
from calibrate.values import Metric

#: The metrics, in the order of the bootstrap's columns; ECE is last because it is made of the remaining sums.
ORDER: Final[tuple[Metric, ...]] = ("top1", "top5", "nll", "brier", "ece")

#: Weights held at once, which bounds the memory: 2²¹ numbers, three times over, are 48 MiB.
CHUNK = 2**21


def bootstrap(arms: Sequence[PerExample], *, resamples: int, bins: int, seed: int) -> Column:
    """Each metric of each arm in each resample: shape (arms, metrics as in ``ORDER``, resamples).

    A resample draws n examples with replacement and is the same for all arms and metrics. Resample r is the same for a
    seed whatever ``resamples`` is; every sum is exact, so threads, chunks and the order of addition change no bit.
    """
    n = len(arms[0].top1)
    summands = [_summands(arm, bins) for arm in arms]
    samples = np.empty((len(arms), len(ORDER), resamples))
    start = 0
    for weights in _weights(n, resamples, seed):
        part = slice(start, start + len(weights))
        for arm, columns in enumerate(summands):
            sums = weights @ columns
            samples[arm, :-1, part] = sums[:, : len(ORDER) - 1].T
            samples[arm, -1, part] = np.abs(sums[:, len(ORDER) - 1 :]).sum(1)
        start = part.stop
    return samples / n


def mean_samples(columns: Column, *, resamples: int, seed: int) -> Column:
    """The mean of each column (n, m) in each resample, the same resamples as :func:`bootstrap`'s: (resamples, m)."""
    summands = np.column_stack([_on_grid(column) for column in columns.T])
    return np.concatenate([weights @ summands for weights in _weights(len(columns), resamples, seed)]) / len(columns)


def interval(samples: Column) -> tuple[float, float]:
    """The 2.5th and the 97.5th percentile of a metric's, or a difference's, resamples."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(low), float(high)


def recentred(samples: Column, value: float) -> Column:
    """``samples`` moved by their bias, mean(samples) − ``value``.

    ECE needs it: an example drawn twice looks like miscalibration, so that resamples lie above the value they spread
    around, often wholly. What stays is their spread. (The other metrics are means, which resampling does not bias.)
    """
    moved: Column = samples - (samples.mean() - value)
    return moved


def _summands(arm: PerExample, bins: int) -> Column:
    """(n, 4 + bins): the scores, then correct − confidence in the column of the example's bin."""
    gaps = np.zeros((len(arm.top1), bins))
    gaps[np.arange(len(gaps)), bin_index(arm.confidence, bins)] = _on_grid(arm.top1 - arm.confidence)
    return np.column_stack([*map(_on_grid, (arm.top1, arm.top5, arm.nll, arm.brier)), gaps])


def _on_grid(column: Column) -> Column:
    """The column, rounded to multiples of a power of two so coarse that any sum of n of its numbers is exact.

    n · max|x| < 2^e and a step of 2^(e − 52) keep every partial sum within 2^53 steps. A number moves by at most
    n · 2^−52 of the column's largest: 1e-11 for n = 50,000.
    """
    _, exponent = np.frexp(len(column) * np.abs(column).max())
    step = max(np.ldexp(1.0, exponent - 52), np.finfo(np.float64).tiny)
    rounded: Column = np.rint(column / step) * step
    return rounded


def _weights(n: int, resamples: int, seed: int) -> Iterator[Column]:
    """How often each example is drawn, in chunks (rows, n): each row is Multinomial(n; 1/n, …, 1/n)."""
    generator = numpy_generator(seed)
    rows = max(1, CHUNK // n)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = generator.integers(0, n, size=(count, n))
        drawn += n * np.arange(count)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)
