"""What the steps that learn by gradient share: ``learn_alpha`` and ``tune_affine``."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.step import Sites, StepValue
from calibrate.values import NUMBER, Value


class Learning(StepValue):
    """A step that learns from three quarters of the calibration half, and is judged on the quarter held back."""

    epochs: Annotated[int, Field(ge=1, le=1000, description="most passes over what is learned from"), NUMBER] = 10
    patience: Annotated[int, Field(ge=1, le=1000, description="epochs without a new best, to end with"), NUMBER] = 3
    batch_size: Annotated[int, Field(ge=1, le=4096, description="examples in a step of the optimizer"), NUMBER] = 32
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam"), NUMBER]
    pull: Annotated[float, Field(ge=0, le=1e9, description="weight of the L2 penalty toward the start"), NUMBER]
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which it must help"), NUMBER] = 1.0
    sites: Sites = ("*",)


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


class Learned(Value):
    """A step learned from ``learned_from`` examples of the calibration half, and was judged on ``held_back`` others.

    ``epochs`` begin with the start. ``best`` has the lowest cross-entropy held back, ``gain`` below the start, with the
    ``standard_error`` of the paired difference; ``kept`` is that epoch, or 0 where the start stays. ``temperature`` is
    that of the logits learned by; ``changed`` says what was kept.
    """

    kind: Literal["learn_alpha", "tune_affine"]
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
