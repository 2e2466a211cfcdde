"""Test-time adaptation: what a stream looks like, and which method suits it."""

from typing import Literal

from calibrate.recipe.adapters import Method
from calibrate.values import Value

StreamWarningCode = Literal["batch-too-small", "labels-correlated", "mixed-domains", "mild-shift"]


class StreamMeasures(Value):
    """The first ``images`` of a stream, as the network answers them before any adaptation; no labels are used.

    ``batch_size`` is the median. ``correlation`` is that of the logits of images near each other in the stream,
    averaged over classes: 0 where the order says nothing of the class, near 1 where it says all; shuffled answers
    exceed ``correlation_by_chance`` in one of a hundred cases. ``one_class`` is the share of the most frequent answer.
    ``mixture`` is the largest share of the variance of an image's first-layer statistics that falls between two groups
    of images: 0.64 for a normal distribution, 0.75 for a uniform one, 1 for two points; None for too few images.
    ``shift`` is the median over the layers of √(μ² + σ²), the estimation shifts of the mean and of the deviation, both
    in deviations. Both are None for a network without running statistics.
    """

    images: int
    batch_size: int
    correlation: float
    correlation_by_chance: float
    one_class: float
    mixture: float | None
    shift: float | None


class StreamWarning(Value):
    """Something about a stream that breaks some methods, with a stable code."""

    code: StreamWarningCode
    message: str


class StreamDiagnosis(Value):
    """What was measured, what to beware of, and the method ``recommended`` for it; None: leave the network as it is."""

    measures: StreamMeasures
    warnings: tuple[StreamWarning, ...]
    recommended: Method | None
    reason: str
