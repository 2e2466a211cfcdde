"""ONNX Runtime: running an exported graph, comparing it with the network, timing it against another."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.errors import ExportError, UnavailableError
from calibrate.export.onnx_graph import INPUT, OUTPUT
from calibrate.generators import numpy_generator
from calibrate.result import Latency, Parity
from calibrate.surgery import evaluating

if TYPE_CHECKING:
    import onnx

#: Largest |difference| / largest |logit| that a faithful file may show.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5, torch.float16: 5e-3}


def require_runtime() -> None:
    """Raise UnavailableError, naming both extras, where ONNX Runtime is not installed."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise UnavailableError(
            "writing ONNX needs ONNX Runtime, to prove the file; install it with `pip install 'afternorm[cpu]'` or, "
            "for NVIDIA GPUs, `pip install 'afternorm[gpu]'` (one of the two, never both), "
            "or write the weights alone with --formats safetensors."
        ) from None


def session(graph: "onnx.ModelProto", threads: int) -> Any:
    """An ONNX Runtime session of ``graph`` on the CPU, with all optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check_parity(
    graph: "onnx.ModelProto",
    model: nn.Module,
    batches: Iterable[Tensor],
    inputs: Literal["data", "noise"],
    threads: int,
) -> tuple[Parity, ...]:
    """Run the reopened ``graph`` and ``model`` on each batch; raise ExportError where they disagree.

    The relative error is max |difference| / max |logit| over the batch, and may be ``TOLERANCE`` at most.
    """
    runtime = session(graph, threads)
    parities = []
    with evaluating(model), torch.inference_mode():
        for batch in batches:
            tolerance = TOLERANCE.get(batch.dtype, 0.0)
            expected = model(batch).double()
            actual = torch.from_numpy(runtime.run([OUTPUT], {INPUT: batch.numpy()})[0]).double()
            error = float((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
            if not error <= tolerance:
                raise ExportError(
                    f"the ONNX file differs from the network by {error:.1e} of the largest logit at batch size "
                    f"{len(batch)}, where {tolerance:.0e} is allowed, so it was not written; "
                    "please report the architecture, and write the weights alone with --formats safetensors."
                )
            parities.append(Parity(batch_size=len(batch), relative_error=error, inputs=inputs))
    return tuple(parities)


def measure_latency(
    tuned: "onnx.ModelProto", original: "onnx.ModelProto", batches: Iterable[Tensor], runs: int, threads: int
) -> tuple[Latency, ...]:
    """Time both graphs on each batch, interleaved: mean of the fastest half, and a bootstrap of their ratio."""
    sessions = [session(graph, threads) for graph in (tuned, original)]
    return tuple(_time(sessions, batch, runs, threads) for batch in batches)


def _time(sessions: list[Any], batch: Tensor, runs: int, threads: int) -> Latency:
    feed = {INPUT: batch.numpy()}
    calls: list[Callable[[], object]] = [lambda s=s: s.run([OUTPUT], feed) for s in sessions]  # type: ignore[misc]
    for call in calls * 3:
        call()
    seconds = np.array([[_seconds(call) for call in calls] for _ in range(runs)])
    tuned, original = _fastest_half(seconds)
    picks = numpy_generator(0).integers(0, runs, (500, runs))
    ratios = [np.divide(*_fastest_half(seconds[pick])) for pick in picks]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Latency(
        batch_size=len(batch),
        tuned_ms=1000 * tuned,
        original_ms=1000 * original,
        ratio=tuned / original,
        ratio_low=float(low),
        ratio_high=float(high),
        runs=runs,
        threads=threads,
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _fastest_half(seconds: NDArray[np.float64]) -> tuple[float, float]:
    kept = np.sort(seconds, axis=0)[: (len(seconds) + 1) // 2].mean(axis=0)
    return float(kept[0]), float(kept[1])
