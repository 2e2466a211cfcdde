"""The measurement as a whole: plain values, intervals, differences and reliability of every arm."""

import numpy as np
import pytest
import torch

from calibrate.errors import DataError
from calibrate.metrics import (
    ArmScores,
    PerExample,
    bootstrap,
    expected_calibration_error,
    interval,
    measure,
    reliability,
    score,
)
from calibrate.metrics.resampling import ORDER
from calibrate.steps import Measurement
from calibrate.values import METRICS
from tests.builders.draws import network


@pytest.fixture
def arms() -> list[ArmScores]:
    logits, labels = network(120, 8, seed=0)
    noise = 0.3 * network(120, 8, seed=1, skill=0)[0]
    return [
        ArmScores("original", False, 1.0, score(3 * logits, labels)),
        ArmScores("T", False, 2.5, score(3 * logits, labels, 2.5)),
        ArmScores("alpha", True, 1.0, score(3 * logits + noise, labels)),
        ArmScores("alpha+T", True, 3.0, score(3 * logits + noise, labels, 3.0)),
    ]


def run(arms: list[ArmScores], *, seed: int = 5) -> Measurement:
    pairs = [("alpha+T", "T"), ("T", "original")]
    return measure(arms, pairs, resamples=200, bins=10, seed=seed)


def test_values_are_the_plain_metrics_and_intervals_the_bootstrap(arms: list[ArmScores]) -> None:
    result = run(arms)
    samples = bootstrap([item.per_example for item in arms], resamples=200, bins=10, seed=5)
    assert (result.n, result.resamples) == (120, 200)
    for index, (item, scores) in enumerate(zip(arms, result.arms, strict=True)):
        assert (scores.arm, scores.alpha, scores.temperature) == (item.arm, item.alpha, item.temperature)
        assert list(scores.metrics) == list(METRICS)
        columns = item.per_example
        expected = {name: getattr(columns, name).mean() for name in ("top1", "top5", "nll", "brier")}
        expected["ece"] = expected_calibration_error(columns.confidence, columns.top1, 10)
        for metric, estimate in scores.metrics.items():
            assert estimate.value == pytest.approx(expected[metric], rel=1e-12)
            drawn = samples[index, ORDER.index(metric)]
            low, high = interval(drawn - (drawn.mean() - estimate.value) if metric == "ece" else drawn)
            assert (estimate.low, estimate.high) == (max(low, 0), high)
        assert result.reliability[item.arm] == reliability(columns, 10)


def test_a_difference_is_arm_minus_baseline_on_the_same_resamples(arms: list[ArmScores]) -> None:
    result = run(arms)
    samples = bootstrap([item.per_example for item in arms], resamples=200, bins=10, seed=5)
    assert [(item.arm, item.baseline) for item in result.differences] == [("alpha+T", "T"), ("T", "original")]
    for metric, estimate in result.difference("alpha+T", "T").metrics.items():
        own = result.arm("alpha+T").metrics[metric].value - result.arm("T").metrics[metric].value
        assert estimate.value == pytest.approx(own, abs=1e-15)
        drawn = samples[3, ORDER.index(metric)] - samples[1, ORDER.index(metric)]
        low, high = interval(drawn - (drawn.mean() - estimate.value) if metric == "ece" else drawn)
        assert (estimate.low, estimate.high) == (low, high)


def test_an_interval_holds_its_value_also_where_resampling_is_biased() -> None:
    """Perfectly calibrated answers: every resample looks worse than the data, and the interval must not."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2000, 5, generator=generator)
    labels = torch.distributions.Categorical(logits=logits).sample()
    arm = ArmScores("original", False, 1.0, score(logits, labels))
    result = measure([arm], [], resamples=500, bins=15, seed=0)
    samples = bootstrap([arm.per_example], resamples=500, bins=15, seed=0)[0, ORDER.index("ece")]
    ece = result.arm("original").metrics["ece"]
    assert samples.mean() > ece.value
    assert ece.low < ece.value < ece.high


def test_temperature_alone_changes_no_accuracy(arms: list[ArmScores]) -> None:
    difference = run(arms).difference("T", "original")
    for metric in ("top1", "top5"):
        estimate = difference.metrics[metric]
        assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_an_arm_swapped_with_its_baseline_turns_the_interval_over(arms: list[ArmScores]) -> None:
    pairs = [("alpha", "original"), ("original", "alpha")]
    one, other = measure(arms, pairs, resamples=201, bins=10, seed=0).differences
    for metric, estimate in one.metrics.items():
        turned = other.metrics[metric]
        assert (-turned.value, -turned.high, -turned.low) == pytest.approx(
            (estimate.value, estimate.low, estimate.high), abs=1e-12
        )


def test_the_seed_decides(arms: list[ArmScores]) -> None:
    assert run(arms) == run(arms)
    assert run(arms) != run(arms, seed=6)


def test_survives_json(arms: list[ArmScores]) -> None:
    result = run(arms)
    assert Measurement.model_validate_json(result.model_dump_json()) == result


def test_one_example_is_enough_and_none_is_not() -> None:
    one = ArmScores("original", False, 1.0, score(*network(1, 3, seed=0)))
    assert measure([one], [], resamples=100, bins=2, seed=0).n == 1
    nothing = ArmScores("original", False, 1.0, PerExample(*(np.empty(0) for _ in range(5))))
    with pytest.raises(DataError, match="no labelled examples"):
        measure([nothing], [], resamples=100, bins=2, seed=0)
