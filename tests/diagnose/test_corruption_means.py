"""Means over corruptions: what redrawing the examples by hand gives, whole images at a time."""

import numpy as np
import pytest

from calibrate.diagnose import corruption_means, means, seen
from calibrate.diagnose.corruptions import Seen
from calibrate.metrics import PerExample
from calibrate.steps import Corruption

CELLS: tuple[tuple[Corruption, int], ...] = (("fog", 1), ("fog", 5), ("snow", 1), ("snow", 5))
N, RESAMPLES, SEED = 23, 50, 3


def arm(seed: int) -> Seen:
    generator = np.random.default_rng(seed)
    top1, nll, rest = generator.integers(0, 2, N).astype(float), generator.exponential(size=N), np.zeros(N)
    return seen(PerExample(top1, rest, nll, rest, rest))


CLEAN = (arm(0), arm(1))
CORRUPTED = {cell: (arm(10 + place), arm(20 + place)) for place, cell in enumerate(CELLS)}


def test_rows_are_the_means_in_order() -> None:
    rows = corruption_means(CLEAN, CORRUPTED, resamples=RESAMPLES, seed=SEED)
    assert [row.corruption for row in rows] == ["clean", "fog", "snow", "all"]
    assert rows[0].original == means(CLEAN[0])
    fog = [CORRUPTED["fog", severity][1] for severity in (1, 5)]
    assert rows[1].tuned is not None
    assert rows[1].tuned.nll == pytest.approx(np.mean([columns[1].mean() for columns in fog]))
    assert rows[-1].original.top1 == pytest.approx(np.mean([plain[0].mean() for plain, _ in CORRUPTED.values()]))


def test_intervals_redraw_examples_with_all_their_images() -> None:
    rows = corruption_means(CLEAN, CORRUPTED, resamples=RESAMPLES, seed=SEED)
    generator = np.random.Generator(np.random.PCG64(SEED))
    draws = [generator.integers(0, N, size=N) for _ in range(RESAMPLES)]
    chosen = {"clean": [CLEAN], "all": list(CORRUPTED.values())} | {
        name: [arms for (corruption, _), arms in CORRUPTED.items() if corruption == name] for name in ("fog", "snow")
    }
    for row in rows:
        for metric, change in enumerate((row.top1_change, row.nll_change)):
            assert change is not None
            cells = chosen[row.corruption]
            resampled = [np.mean([(b - a)[metric, draw].mean() for a, b in cells]) for draw in draws]
            assert change.value == pytest.approx(np.mean([(b - a)[metric].mean() for a, b in cells]))
            assert (change.low, change.high) == pytest.approx(tuple(np.percentile(resampled, (2.5, 97.5))))


def test_one_arm_has_no_change() -> None:
    alone = {cell: arms[:1] for cell, arms in CORRUPTED.items()}
    for row in corruption_means(CLEAN[:1], alone, resamples=RESAMPLES, seed=SEED):
        assert (row.tuned, row.top1_change, row.nll_change) == (None, None, None)
