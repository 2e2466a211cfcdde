"""What the steps that learn by gradient share: ``learn_alpha`` and ``tune_affine``."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.steps.step import Sites, StepResult, StepValue
from calibrate.values import NUMBER, Value


class LearningEpoch(Value):
    """Mean cross-entropies in nats: of the examples held back, after their own best temperature, when the epoch ended.

    ``learned_nll`` is that of the examples learned from, while they were: each batch's before its step. It is of the
    logits over the temperature at the start; None for the start itself.
    """

    learned_nll: float | None
    held_back_nll: float


class ChangedTensor(Value):
    """One tensor of the state dict that was learned, and the root mean square of its change."""

    name: str
    change: float


class Learned(StepResult):
    """A step learned from ``learned_from`` examples of the calibration half, and was judged on ``held_back`` others.

    ``epochs`` begin with the start. ``best`` has the lowest cross-entropy held back, ``gain`` below the start, with the
    ``standard_error`` of the paired difference; ``kept`` is that epoch, or 0 where the start stays. ``temperature`` is
    that of the logits learned by; ``changed`` says what was kept.
    """

    #: What was learned.
    subject: ClassVar[str]

    per: Literal["layer", "channel"] | None
    learned_from: int
    held_back: int
    temperature: float
    epochs: tuple[LearningEpoch, ...]
    best: int
    kept: int
    gain: float
    standard_error: float
    reason: str
    changed: tuple[ChangedTensor, ...]

    def sections(self) -> tuple[Section, ...]:
        """Whether what was learned was kept, and why; and all epochs."""
        rows = tuple(_row(self, number) for number in range(len(self.epochs)))
        return (Section(f"Learning {_of(self)}", (_shows(self), _columns(self)), Table(COLUMNS, rows)),)


class Learning(StepValue):
    """A step that learns from three quarters of the calibration half, and is judged on the quarter held back."""

    epochs: Annotated[int, Field(ge=1, le=1000, description="most passes over what is learned from"), NUMBER] = 10
    patience: Annotated[int, Field(ge=1, le=1000, description="epochs without a new best, to end with"), NUMBER] = 3
    batch_size: Annotated[int, Field(ge=1, le=4096, description="examples in a step of the optimizer"), NUMBER] = 32
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam"), NUMBER]
    pull: Annotated[float, Field(ge=0, le=1e9, description="weight of the L2 penalty toward the start"), NUMBER]
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which it must help"), NUMBER] = 1.0
    sites: Sites = ("*",)


COLUMNS = ("learned from, NLL", "held back, NLL after T")


def _row(item: Learned, number: int) -> Row:
    epoch = item.epochs[number]
    learned = ABSENT if epoch.learned_nll is None else fmt.score("nll", epoch.learned_nll)
    note = "kept" if number == item.kept else "best" if number == item.best else ""
    return Row(
        f"epoch {number}" if number else "start", note, (Cell(learned), Cell(fmt.score("nll", epoch.held_back_nll)))
    )


def _shows(item: Learned) -> str:
    outcome = f"Epoch {item.kept} was kept" if item.kept else "The start was kept"
    shows = f"{outcome}: {fmt.printable(item.reason)}."
    if not item.changed:
        return shows
    furthest = max(item.changed, key=lambda tensor: tensor.change)
    tensors = fmt.counted(len(item.changed), "tensor")
    return f"{shows} It changed {tensors}, {fmt.printable(furthest.name)} the most: by {furthest.change:.2g} (RMS)."


def _columns(item: Learned) -> str:
    return (
        f"On {_examples(item)}. Learned from: mean over the epoch, each batch before its step, of the logits over the "
        f"temperature at the start, T = {fmt.short(item.temperature)}. Held back: when the epoch ended, each at its "
        "own best temperature."
    )


def _of(item: Learned) -> str:
    return f"{item.subject} per {item.per}" if item.per else item.subject


def _examples(item: Learned) -> str:
    return (
        f"{fmt.counted(item.learned_from, 'example')} of the calibration half, judged on {fmt.count(item.held_back)} "
        "held back of it"
    )
