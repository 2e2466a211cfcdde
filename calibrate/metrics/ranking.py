"""Several candidates on the same examples, each against the original network, without and with its temperature."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc

import numpy as np

from calibrate.metrics.measurement import at_least_0, estimates, point
from calibrate.metrics.p_values import holm, mcnemar
from calibrate.metrics.resampling import ORDER, bootstrap
from calibrate.metrics.scores import Column, PerExample
from calibrate.steps import JUDGED
from calibrate.values import Estimate, Metric

#: How many standard errors a true difference must have for a two-sided test at 5 % to see it four times in five:
#: the 97.5th and the 80th percentile of the standard normal distribution.
DETECTABLE = 1.959963984540054 + 0.8416212335729143


@dataclass(frozen=True, slots=True)
class Ranked:
    """One network's metrics, its differences from the first two, their p-values by Holm, and what could be detected.

    ``detectable`` is of the difference from the second, the second's own of that from the first.
    """

    metrics: dict[Metric, Estimate]
    against_first: dict[Metric, Estimate]
    against_second: dict[Metric, Estimate]
    holm: dict[Metric, float]
    detectable: dict[Metric, float]


def rank(arms: Sequence[PerExample], *, resamples: int, bins: int, seed: int) -> tuple[Ranked, ...]:
    """Measure ``arms``, two baselines and then the candidates, on one set of examples.

    Values, intervals and resamples are those of :func:`calibrate.metrics.measure`. A candidate's p-values are against
    the second baseline: McNemar's exact one for top-1, the paired z-test's for NLL, which with few examples is no
    smaller than the smallest of a sign test. Holm's correction is over both metrics of all candidates.
    """
    points = [point(arm, bins) for arm in arms]
    samples = bootstrap(arms, resamples=resamples, bins=bins, seed=seed)
    p = {(place, metric): _p(metric, arms[1], arms[place]) for place in range(2, len(arms)) for metric in JUDGED}
    adjusted = dict(zip(p, holm(list(p.values())), strict=True))

    def against(place: int, baseline: int) -> dict[Metric, Estimate]:
        if place <= baseline:
            return {}
        return estimates(points[place] - points[baseline], samples[place] - samples[baseline])

    return tuple(
        Ranked(
            metrics=at_least_0(estimates(points[place], samples[place])),
            against_first=against(place, 0),
            against_second=against(place, 1),
            holm={metric: adjusted[place, metric] for metric in JUDGED if (place, metric) in adjusted},
            detectable=_detectable(samples[place] - samples[min(place - 1, 1)]) if place else {},
        )
        for place in range(len(arms))
    )


def _p(metric: Metric, baseline: PerExample, arm: PerExample) -> float:
    if metric == "top1":
        change = arm.top1 - baseline.top1
        return mcnemar(int((change > 0).sum()), int((change < 0).sum()))
    change = arm.nll - baseline.nll
    changed = int((change != 0).sum())
    if changed == 0:
        return 1.0
    error = float(change.std(ddof=1)) / len(change) ** 0.5 if len(change) > 1 else 0.0
    by_z = erfc(abs(float(change.mean())) / error / 2**0.5) if error else 0.0
    return min(1.0, max(by_z, 2.0 ** (1 - changed)))


def _detectable(samples: Column) -> dict[Metric, float]:
    return {metric: DETECTABLE * float(np.std(samples[ORDER.index(metric)], ddof=1)) for metric in JUDGED}
