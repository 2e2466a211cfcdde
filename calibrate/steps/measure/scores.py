"""What was measured of each arm, and how predictions changed from one to another."""

from typing import Literal

from calibrate.values import Estimate, Metric, Value

#: ``alpha`` is a network that weighs examples and is otherwise the original; ``tuned`` one whose statistics, or γ
#: and β, changed.
Arm = Literal["original", "T", "alpha", "alpha+T", "tuned", "tuned+T"]


#: A changed network with its temperature.
TunedArm = Literal["alpha+T", "tuned+T"]


class Scores(Value):
    """One arm's metrics; top-1, top-5 and ECE are fractions of 1, NLL is in nats, Brier is the sum over classes.

    ``alpha`` is whether the network weighs examples in their own statistics.
    """

    arm: Arm
    alpha: bool
    temperature: float
    metrics: dict[Metric, Estimate]


class EmptyArm(Value):
    """An arm that has no scores, because of the ``reason``."""

    arm: Arm
    reason: str


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


Direction = Literal["fixed", "broken", "other"]


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


class Prediction(Value):
    """A class, with its name where it is known, and the confidence with which it was predicted."""

    label: int
    name: str | None
    confidence: float


class ChangedExample(Value):
    """An example whose prediction changed; ``index`` and ``entry`` say which one of the data it is."""

    index: int
    entry: str
    label: int
    name: str | None
    direction: Direction
    before: Prediction
    after: Prediction


class PredictionChanges(Value):
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
