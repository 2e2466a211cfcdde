"""Answers: how many changed between two arms, in which classes, and some of the examples."""

from typing import Literal

from calibrate.values import Value

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
    """The answers of ``arm`` against those of ``baseline`` on the same ``n`` examples.

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
