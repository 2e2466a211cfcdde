"""What a stream looks like, and how the methods did on it."""

from typing import Literal

from calibrate.steps.adaptation_methods import (
    Method,
)
from calibrate.steps.streams import Stream
from calibrate.values import Estimate, Value

StreamWarningCode = Literal["batch-too-small", "labels-correlated", "mixed-domains", "mild-shift"]


class StreamMeasures(Value):
    """The first ``images`` of a stream, as the network predicts them before any adaptation; no labels are used.

    ``batch_size`` is the median. ``correlation`` is that of the logits of images near each other in the stream,
    averaged over classes: 0 where the order says nothing of the class, near 1 where it says all; shuffled predictions
    exceed ``correlation_by_chance`` in one of a hundred cases. ``one_class`` is the share of the most frequent
    prediction. ``mixture`` is the largest share of the variance of an image's first-layer statistics that falls between
    two groups of images: 0.64 for a normal distribution, 0.75 for a uniform one, 1 for two points; None for too few
    images. ``shift`` is the median over the layers of √(μ² + σ²), the estimation shifts of the mean and of the
    deviation, both in deviations. Both are None for a network without running statistics.
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


class MethodScores(Value):
    """One method on one stream; None for ``method`` is the network without adaptation.

    ``top1`` and ``nll`` (nats) are online: each example is scored when it is predicted; means over the seeds, and
    ``top1_sd`` the standard deviation over them (n − 1; None for one). ``segments`` are top-1 over equal parts of the
    stream, in order. ``against_source`` and ``against_iew`` are differences in top-1 on the same examples (paired
    bootstrap over examples, means over seeds). ``forward`` and ``backward`` are passes for each batch, ``checks``
    passes for each batch that told collapses. ``source_change`` is the adapted network's top-1 after the stream minus
    before, on the same examples as they are, and None where nothing stays learned. ``learned`` counts tensors.
    ``collapses`` and ``resets``, those of the wrapper and of the method itself, are means over the seeds.
    """

    method: Method | None
    top1: float
    top1_sd: float | None
    nll: float | None
    segments: tuple[float, ...]
    against_source: Estimate | None
    against_iew: Estimate | None
    forward: float
    backward: float
    checks: float
    source_change: float | None
    learned: int
    collapses: float
    resets: float
    keeps: Literal["nothing", "weights", "re-estimation", "runtime"]


class StreamScores(Value):
    """All methods on one stream of ``visits`` predictions, the network without adaptation first."""

    stream: Stream
    visits: int
    diagnosis: StreamDiagnosis
    methods: tuple[MethodScores, ...]
