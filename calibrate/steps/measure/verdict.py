"""The verdict on a paired difference."""

from collections.abc import Mapping

from calibrate.steps.measure.scores import Difference
from calibrate.values import METRICS, Estimate, Metric, Verdict

JUDGED: tuple[Metric, ...] = ("nll", "top1")


#: Decimals to which an interval is judged, as it is printed: 0.0001 nats, 0.01 points. What rounds to 0 is no gain.
DECIMALS = 4


def judge(difference: Difference) -> tuple[Verdict, tuple[str, ...]]:
    """Judge a paired difference by its NLL and top-1 intervals, with one reason for each.

    ``improved``: one interval lies wholly on the good side and neither on the bad. ``worse``: either lies wholly on
    the bad side. Else ``no evidence``. Ends are rounded to ``DECIMALS`` first: with many examples even a difference
    that nobody could see is certain.

    >>> gain, none = Estimate(value=-0.02, low=-0.03, high=-0.01), Estimate(value=0, low=-0.1, high=0.1)
    >>> judge(Difference(arm="alpha+T", baseline="T", metrics={"nll": gain, "top1": none}))[0]
    'improved'
    """
    reasons = tuple(_reason(metric, difference, _side(metric, difference.metrics[metric])) for metric in JUDGED)
    return verdict_of(difference.metrics), reasons


def verdict_of(metrics: Mapping[Metric, Estimate]) -> Verdict:
    """The verdict of :func:`judge` on the metrics of a paired difference."""
    sides = [_side(metric, metrics[metric]) for metric in JUDGED]
    if "worse" in sides:
        return "worse"
    return "improved" if "improved" in sides else "no evidence"


def _side(metric: Metric, interval: Estimate) -> Verdict:
    more_is_better = METRICS[metric][1]
    if round(interval.low, DECIMALS) > 0:
        return "improved" if more_is_better else "worse"
    if round(interval.high, DECIMALS) < 0:
        return "worse" if more_is_better else "improved"
    return "no evidence"


def _reason(metric: Metric, difference: Difference, side: Verdict) -> str:
    interval = difference.metrics[metric]
    label = METRICS[metric][0].removesuffix(" %")
    scale, unit, digits = (100, " points", 2) if metric == "top1" else (1, "", 4)
    value, low, high = (f"{scale * number:+.{digits}f}" for number in (interval.value, interval.low, interval.high))
    meaning = {"improved": "better", "worse": "worse", "no evidence": "no evidence either way"}[side]
    return (
        f"{label} {difference.arm} minus {difference.baseline}: {value}{unit}, 95 % interval [{low}, {high}]: {meaning}"
    )
