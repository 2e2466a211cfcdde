"""How adapters did on streams, beside the network that they set out from."""

from typing import Literal

from calibrate.recipe.adapters import Method
from calibrate.recipe.streams import Stream
from calibrate.result.adaptation import StreamDiagnosis
from calibrate.result.probed import Probed
from calibrate.values import Estimate, Value


class MethodScores(Value):
    """One method on one stream; None for ``method`` is the network as it stands, without adaptation.

    ``top1`` and ``nll`` (nats) are online: each example is scored when it is answered; means over the seeds, and
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
    """All methods on one stream of ``visits`` answers, the network without adaptation first."""

    stream: Stream
    visits: int
    diagnosis: StreamDiagnosis
    methods: tuple[MethodScores, ...]


class Adaptation(Probed):
    """Adapters on streams, each in ``seeds`` orders."""

    kind: Literal["adaptation"] = "adaptation"
    seeds: int
    resamples: int
    streams: tuple[StreamScores, ...]


class Kept(Value):
    """What the step ``adapt`` has put into the network: what was learned on ``images`` examples, and how."""

    method: Method
    stream: Stream
    images: int
    learned: tuple[str, ...]
    reestimated: bool
    collapses: int
