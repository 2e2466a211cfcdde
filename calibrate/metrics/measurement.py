"""The measurement: every arm on the same examples, with intervals, paired differences and reliability."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.errors import DataError
from calibrate.metrics.calibration_error import expected_calibration_error, reliability
from calibrate.metrics.resampling import ORDER, bootstrap, interval, recentred
from calibrate.metrics.scores import Column, PerExample
from calibrate.result import Finding
from calibrate.steps import Arm, Difference, EmptyArm, Measurement, Scores
from calibrate.values import METRICS, Estimate, Metric


@dataclass(frozen=True, slots=True)
class ArmScores:
    """One arm: its name, whether it weighs examples, the temperature it was scored at, and its scores."""

    arm: Arm
    alpha: bool
    temperature: float
    per_example: PerExample


def measure(
    arms: Sequence[ArmScores],
    comparisons: Sequence[tuple[Arm, Arm]],
    *,
    resamples: int,
    bins: int,
    seed: int,
    empty: Sequence[EmptyArm] = (),
) -> Measurement:
    """Measure all arms on one set of examples, and ``arm`` minus ``baseline`` for each pair in ``comparisons``.

    Pairs with an ``empty`` arm are left out.

    Values are the plain metrics of the whole set; intervals are 95 % percentile bootstrap intervals over examples,
    ECE's moved by the bias of its resamples.
    """
    n = len(arms[0].per_example.top1)
    if n == 0:
        raise DataError("there are no labelled examples to measure on, and a metric needs one at least; add examples.")
    points = {item.arm: point(item.per_example, bins) for item in arms}
    samples = bootstrap([item.per_example for item in arms], resamples=resamples, bins=bins, seed=seed)
    spread = {item.arm: rows for item, rows in zip(arms, samples, strict=True)}
    return Measurement(
        n=n,
        resamples=resamples,
        arms=tuple(
            Scores(
                arm=item.arm,
                alpha=item.alpha,
                temperature=item.temperature,
                metrics=at_least_0(estimates(points[item.arm], spread[item.arm])),
            )
            for item in arms
        ),
        differences=tuple(
            Difference(
                arm=arm,
                baseline=baseline,
                metrics=estimates(points[arm] - points[baseline], spread[arm] - spread[baseline]),
            )
            for arm, baseline in comparisons
            if {arm, baseline} <= points.keys()
        ),
        empty=tuple(empty),
        reliability={item.arm: reliability(item.per_example, bins) for item in arms},
    )


def difference(
    arm: PerExample, baseline: PerExample, *, resamples: int, bins: int, seed: int
) -> dict[Metric, Estimate]:
    """``arm`` minus ``baseline``, as :func:`measure` has it."""
    samples = bootstrap([arm, baseline], resamples=resamples, bins=bins, seed=seed)
    return estimates(point(arm, bins) - point(baseline, bins), samples[0] - samples[1])


def point(scores: PerExample, bins: int) -> Column:
    """The plain metrics, as in ``ORDER``."""
    means = [np.mean(column) for column in (scores.top1, scores.top5, scores.nll, scores.brier)]
    return np.array([*means, expected_calibration_error(scores.confidence, scores.top1, bins)])


def estimates(values: Column, samples: Column) -> dict[Metric, Estimate]:
    """Estimates in the order in which tables show them."""
    estimates: dict[Metric, Estimate] = {}
    for metric in METRICS:
        row = ORDER.index(metric)
        spread = recentred(samples[row], float(values[row])) if metric == "ece" else samples[row]
        low, high = interval(spread)
        estimates[metric] = Estimate(value=float(values[row]), low=low, high=high)
    return estimates


def at_least_0(estimates: dict[Metric, Estimate]) -> dict[Metric, Estimate]:
    """The estimates of an arm, none of whose metrics can be negative."""
    return {name: Estimate(value=e.value, low=max(e.low, 0.0), high=e.high) for name, e in estimates.items()}


def near_chance(top1: Estimate, outputs: int) -> Finding | None:
    """Warn when the original network's accuracy is hard to tell from guessing among its ``outputs`` classes.

    That is: the interval reaches down to 1/K, or K ≥ 10 and the accuracy is at most 2/K.

    >>> near_chance(Estimate(value=0.76, low=0.75, high=0.77), 1000) is None
    True
    """
    guess = 1 / outputs
    if top1.low > guess and not (outputs >= 10 and top1.value <= 2 * guess):
        return None
    beside = "fewer than that" if top1.high < guess else "hard to tell apart"
    return Finding(
        code="near-chance",
        severity="warning",
        message=(
            f"The original network is right on {top1.value:.2%} of the examples (95 % interval {top1.low:.2%} to "
            f"{top1.high:.2%}), and guessing among its {outputs} classes is right on {guess:.2%}: {beside}. "
            f"Usual causes are the order of the classes (is the class list in the network's order?) and the "
            f"preprocessing (mean, std, resize, channel order), or examples too few to tell."
        ),
    )
