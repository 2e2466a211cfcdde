"""What a learning step tried, epoch by epoch, and what it kept."""

from typing import Literal

from calibrate.values import Value


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
