"""The step ``measure``: the original and the tuned network on the holdout half, and the verdict."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.step import StepValue
from calibrate.values import METRICS, NUMBER, Estimate, Metric, Value, Verdict


class Measure(StepValue):
    """Compare with the original network.

    Compare the original network with the network as it stands, on the holdout half.

    With each metric (NLL, top-1, …) on the same examples, those of the holdout half::

        difference = metric(as it stands) − metric(as it came)

    *Changes nothing when* always: it only looks.

    *Helps when* always: it is what shows, on data that nothing was chosen on, whether the other steps helped.

    *Does not help when* the holdout half is unlike the data to come, or too small for the difference looked for.

    Cost: one pass over the holdout half for the original network, and one for the changed one.

    Limits: needs labels. The intervals describe data like the holdout half, and no others.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 14
    """

    jobs = frozenset({"calibrate", "evaluate", "probe", "adapt"})

    kind: Literal["measure"] = "measure"
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000
    bins: Annotated[int, Field(ge=2, le=100, description="confidence bins of the calibration error"), NUMBER] = 15


#: ``alpha`` is a network that weighs examples and is otherwise as it came; ``tuned`` one whose statistics, or γ
#: and β, changed.
Arm = Literal["plain", "T", "alpha", "alpha+T", "tuned", "tuned+T"]


class Scores(Value):
    """One arm's metrics; top-1, top-5 and ECE are fractions of 1, NLL is in nats, Brier is the sum over classes."""

    arm: Arm
    alpha: bool
    temperature: float
    metrics: dict[Metric, Estimate]


class Difference(Value):
    """``arm`` minus ``baseline`` on the same examples (paired bootstrap)."""

    arm: Arm
    baseline: Arm
    metrics: dict[Metric, Estimate]


class Bin(Value):
    """One confidence bin of a reliability diagram; ``confidence`` and ``accuracy`` are means over its examples."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class Measurement(Value):
    """All arms on the n examples of the holdout half, and their paired differences."""

    n: int
    resamples: int
    arms: tuple[Scores, ...]
    differences: tuple[Difference, ...]
    reliability: dict[Arm, tuple[Bin, ...]]

    def arm(self, name: Arm) -> Scores:
        """The scores of the named arm."""
        return {scores.arm: scores for scores in self.arms}[name]

    @property
    def verdict_difference(self) -> Difference | None:
        """The difference on which the verdict rests: the tuned network with its temperature, against T alone."""
        return next((item for item in self.differences if item.baseline == "T"), None)

    def difference(self, arm: Arm, baseline: Arm) -> Difference:
        """The named paired difference."""
        return {(item.arm, item.baseline): item for item in self.differences}[arm, baseline]


Direction = Literal["fixed", "broken", "other"]


#: A changed network with its temperature.
TunedArm = Literal["alpha+T", "tuned+T"]


class ClassChange(Value):
    """One class of the holdout half: of its ``n`` examples, how many are right before and after.

    ``low`` and ``high`` are the 95 % interval of the change (after − before) / n.
    """

    label: int
    name: str | None
    n: int
    before: int
    after: int
    fixed: int
    broken: int
    low: float
    high: float

    @property
    def change(self) -> float:
        """The change of the class's accuracy, a fraction of 1."""
        return (self.after - self.before) / self.n


class Answer(Value):
    """A class, with its name where it is known, and the confidence it was answered with."""

    label: int
    name: str | None
    confidence: float


class ChangedExample(Value):
    """An example whose answer changed; ``index`` and ``entry`` say which one of the data it is."""

    index: int
    entry: str
    label: int
    name: str | None
    direction: Direction
    before: Answer
    after: Answer


class Answers(Value):
    """The predictions of ``arm`` against those of ``baseline`` on the same ``n`` examples.

    ``fixed``: wrong, then right. ``broken``: right, then wrong. ``other``: wrong both times, in two ways. ``p`` is that
    of McNemar's exact test of ``fixed`` against ``broken``. ``classes`` are those with examples, in order of label.
    ``examples`` are some of the changed ones: the most confident, fixed and broken in balance.
    """

    arm: TunedArm = "alpha+T"
    baseline: Literal["T"] = "T"
    n: int
    fixed: int
    broken: int
    other: int
    p: float
    classes: tuple[ClassChange, ...]
    examples: tuple[ChangedExample, ...]


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
