"""Files a tuned network was written to, how they proved themselves and how fast they are."""

from typing import Literal

from calibrate.values import Value


class Parity(Value):
    """The reopened file against the network it was made from, on real inputs: max |difference| / max |logit|.

    ``size`` is the inputs' (height, width), where it is not that of the data. Where ``forward`` asks for autocast, the
    file computes without it, and ``autocast_error`` is how far that differs from the network as it is.
    """

    batch_size: int
    relative_error: float
    inputs: Literal["data", "noise"]
    size: tuple[int, ...] | None = None
    autocast_error: float | None = None


class Latency(Value):
    """Tuned over folded original in ONNX Runtime, interleaved runs: mean of the fastest half, and its spread."""

    batch_size: int
    tuned_ms: float
    original_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    runs: int
    threads: int


class Artifact(Value):
    """A file the tuned network was written to, by its name inside the output directory."""

    name: str
    format: Literal["safetensors", "onnx"]
    bytes: int
    sha256: str
    parity: tuple[Parity, ...] = ()
    latency: tuple[Latency, ...] = ()


class Serving(Value):
    """A graph that candidates of a leaderboard share, in ONNX: its size and speed against the folded original."""

    graph: str
    bytes: int
    original_bytes: int
    latency: tuple[Latency, ...] = ()
