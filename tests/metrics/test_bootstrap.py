"""The bootstrap, against one that redraws the examples and computes each metric anew."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.metrics import PerExample, bootstrap, expected_calibration_error, interval, mean_samples
from calibrate.metrics.resampling import ORDER
from calibrate.metrics.scores import Column
from tests.builders.draws import columns


def naive(arms: list[PerExample], resamples: int, bins: int, seed: int) -> Column:
    generator = np.random.Generator(np.random.PCG64(seed))
    n = len(arms[0].top1)
    samples = np.empty((len(arms), len(ORDER), resamples))
    for r in range(resamples):
        drawn = generator.integers(0, n, size=n)
        for arm, scores in enumerate(arms):
            again = {field.name: getattr(scores, field.name)[drawn] for field in dataclasses.fields(scores)}
            ece = expected_calibration_error(again["confidence"], again["top1"], bins)
            samples[arm, :, r] = [ece if metric == "ece" else again[metric].mean() for metric in ORDER]
    return samples


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), arms=st.integers(1, 3), bins=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_equals_redrawing_the_examples(n: int, arms: int, bins: int, seed: int) -> None:
    scores = [columns(n, arm) for arm in range(arms)]
    result = bootstrap(scores, resamples=10, bins=bins, seed=seed)
    np.testing.assert_allclose(result, naive(scores, 10, bins, seed), rtol=0, atol=1e-12)


@given(n=st.integers(1, 40), m=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_means_of_columns_equal_redrawing_the_rows(n: int, m: int, seed: int) -> None:
    table = np.random.default_rng(n).normal(size=(n, m))
    generator = np.random.Generator(np.random.PCG64(seed))
    expected = [table[generator.integers(0, n, size=n)].mean(0) for _ in range(10)]
    np.testing.assert_allclose(mean_samples(table, resamples=10, seed=seed), expected, rtol=0, atol=1e-12)


def test_large_losses_stay_accurate() -> None:
    scores = dataclasses.replace(columns(50, 0), nll=np.geomspace(1e-6, 1e6, 50))
    result = bootstrap([scores], resamples=20, bins=5, seed=1)
    np.testing.assert_allclose(result, naive([scores], 20, 5, 1), rtol=1e-11, atol=1e-12)


def test_losses_too_small_to_tell_from_nothing_are_nothing() -> None:
    scores = dataclasses.replace(columns(50, 0), nll=np.full(50, 1e-300))
    result = bootstrap([scores], resamples=20, bins=5, seed=1)
    assert abs(result[0, ORDER.index("nll")]).max() < 1e-290


@pytest.mark.parametrize("chunk", [1, 31, 100, 31 * 7])
def test_chunks_change_no_bit(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [columns(31, 0), columns(31, 1)]
    whole = bootstrap(scores, resamples=50, bins=15, seed=3)
    monkeypatch.setattr(sys.modules[bootstrap.__module__], "CHUNK", chunk)
    np.testing.assert_array_equal(bootstrap(scores, resamples=50, bins=15, seed=3), whole)


def test_the_seed_decides_and_more_resamples_extend_fewer() -> None:
    scores = [columns(40, 0)]
    few, many = (bootstrap(scores, resamples=resamples, bins=5, seed=7) for resamples in (20, 60))
    np.testing.assert_array_equal(many[:, :, :20], few)
    assert (bootstrap(scores, resamples=20, bins=5, seed=8) != few).any()


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 200), others=st.integers(0, 3), seed=st.integers(0, 1000))
def test_identical_arms_differ_by_exactly_nothing(n: int, others: int, seed: int) -> None:
    """Wherever the two stand, and although ECE is no linear function of the examples."""
    scores = columns(n, seed)
    arms = [scores, *(columns(n, other) for other in range(others)), dataclasses.replace(scores)]
    samples = bootstrap(arms, resamples=40, bins=15, seed=seed)
    assert not (samples[0] - samples[-1]).any()


def test_an_example_that_never_varies_has_an_interval_of_no_width() -> None:
    one = np.ones(30)
    sure = PerExample(top1=one, top5=one, nll=0.1 * one, brier=0 * one, confidence=one)
    samples = bootstrap([sure], resamples=100, bins=15, seed=0)[0]
    for metric, expected in (("top1", 1.0), ("top5", 1.0), ("nll", 0.1), ("brier", 0.0), ("ece", 0.0)):
        assert interval(samples[ORDER.index(metric)]) == pytest.approx((expected, expected), abs=1e-15)


def test_the_interval_leaves_out_a_fortieth_on_either_side() -> None:
    samples = np.random.default_rng(0).permutation(np.arange(1001.0))
    assert interval(samples) == pytest.approx((25, 975))


def test_pairing_removes_what_the_arms_share() -> None:
    """Two arms that agree but for a small shift: the paired interval is far narrower than the arms' own."""
    generator = np.random.default_rng(0)
    base = columns(300, 0)
    shifted = dataclasses.replace(base, nll=base.nll - 0.01 + 0.01 * generator.normal(size=300))
    samples = bootstrap([base, shifted], resamples=500, bins=15, seed=0)[:, ORDER.index("nll")]
    own, paired = interval(samples[0]), interval(samples[1] - samples[0])
    assert paired[1] - paired[0] < (own[1] - own[0]) / 20
    assert paired[0] < -0.01 < paired[1] < 0


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    n, truth, replications = 200, 0.7, 200
    generator = np.random.default_rng(0)
    covered = 0
    for replication in range(replications):
        right = (generator.random(n) < truth).astype(np.float64)
        arm = PerExample(top1=right, top5=right, nll=right, brier=right, confidence=0.5 + right / 2)
        low, high = interval(bootstrap([arm], resamples=300, bins=2, seed=replication)[0, ORDER.index("top1")])
        covered += low <= truth <= high
    assert 0.90 <= covered / replications <= 0.99
