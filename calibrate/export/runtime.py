"""ONNX Runtime: running an exported graph, comparing it with the network, timing it against another."""

import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from calibrate.errors import ExportError, UnavailableError
from calibrate.export.decisions import BATCH, Decision, against
from calibrate.export.onnx_graph import INPUT, fixed
from calibrate.export.quiet import silenced, watching_autocast
from calibrate.export.reasons import reason, shortened
from calibrate.generators import numpy_generator
from calibrate.result import Latency, Parity
from calibrate.surgery import evaluating, named_outputs

if TYPE_CHECKING:
    import onnx

#: Largest |difference| / largest |output| that a faithful file may show, by the precision of the inputs.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5, torch.float16: 5e-3}
#: The same for what a network loses by the autocast in its ``forward``: a few roundings in bfloat16, whose ε is 0.8 %.
AUTOCAST_TOLERANCE = 5e-2
#: What a network that rounds to a lower precision may differ by: see :func:`tolerance_of`.
ALLOWED, HIGHEST = 2, 8


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
    """An ONNX Runtime session of ``graph`` on the CPU, with all optimisations; ExportError where it takes it not."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised
    try:
        return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common but this one
        form = f"opset {graph.opset_import[0].version}, IR version {graph.ir_version}"
        raise ExportError(
            f"ONNX Runtime {onnxruntime.__version__} does not take the graph ({form}): {_said(error)}."
        ) from error


def check_parity(
    graph: "onnx.ModelProto",
    model: nn.Module,
    batches: Iterable[Tensor],
    inputs: Literal["data", "noise"],
    threads: int,
    decisions: Sequence[Decision] = (),
) -> tuple[Parity, ...]:
    """Run the reopened ``graph`` and ``model`` on each batch; raise ExportError where they disagree.

    The relative error of an output is max |difference| / max |value| over the batch, and may be ``TOLERANCE`` at most,
    or more where ``forward`` computes in a lower precision: see :func:`tolerance_of`. Integers and truth values are
    equal. Where ``forward`` asks for autocast, the graph is held against the network without it, and these two may
    differ by ``AUTOCAST_TOLERANCE``. An error names the one of tracing's ``decisions`` that a batch size disproves.
    """
    runtime = session(graph, threads)
    counted = [decision for decision in decisions if decision.dimensions == (BATCH,)]
    with evaluating(model), torch.inference_mode(), silenced():
        return tuple(_parity(runtime, model, batch, inputs, counted) for batch in batches)


def _parity(
    runtime: Any, model: nn.Module, batch: Tensor, inputs: Literal["data", "noise"], decisions: Sequence[Decision]
) -> Parity:
    expected, precisions = _outputs(model, batch)
    lost = None
    if precisions:
        lower = expected
        with watching_autocast(disabled=True):
            expected, _ = _outputs(model, batch)
        lost = _difference(lower, expected)
        if not lost <= AUTOCAST_TOLERANCE:
            raise ExportError(
                f"forward asks for autocast to {_name(precisions[0])}, for which ONNX Runtime lacks kernels, and "
                f"without it the network's output differs by {lost:.1e} of the largest value, where "
                f"{AUTOCAST_TOLERANCE:.0e} is allowed; leave torch.autocast out of forward and calibrate again."
            )
    try:
        error = _difference(_served(runtime, batch), expected)
    except ExportError as failure:
        raise ExportError(_by_count(runtime, model, batch, usual_tolerance(batch), decisions) or str(failure)) from None
    if not error <= usual_tolerance(batch):
        with watching_autocast(disabled=True):
            tolerance = tolerance_of(model, batch)
        if not error <= tolerance:
            raise ExportError(_disagreement(runtime, model, batch, error, tolerance, decisions))
    return Parity(batch_size=len(batch), relative_error=error, inputs=inputs, autocast_error=lost)


def usual_tolerance(batch: Tensor) -> float:
    """The relative error that a faithful file may show on a ``batch``, by its precision."""
    return TOLERANCE.get(batch.dtype, TOLERANCE[torch.float32])


def tolerance_of(model: nn.Module, batch: Tensor) -> float:
    """The same for a network that may round to a lower precision than its inputs have, as ``h.half()`` does.

    ONNX Runtime leaves out some of these roundings, having no kernels for them. What all of them make of the output is
    measured, by computing without them; a file may show ``ALLOWED`` times that, and ``HIGHEST`` ε of the lower
    precision at most.
    """
    unrounded = _Unrounded(batch.dtype)
    expected, _ = _outputs(model, batch)
    try:
        with unrounded:
            change = _difference(_outputs(model, batch)[0], expected)
    except ExportError:  # the network asks for the precision
        return usual_tolerance(batch)
    if not unrounded.lower:
        return usual_tolerance(batch)
    highest = HIGHEST * max(torch.finfo(dtype).eps for dtype in unrounded.lower)
    return max(usual_tolerance(batch), min(ALLOWED * change, highest))


class _Unrounded(TorchDispatchMode):
    """Computes all in ``dtype`` that is asked for in a ``lower`` precision, of which it lists those that were."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype
        self.lower: set[torch.dtype] = set()

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self._raised, (args, kwargs or {}))
        return function(*args, **kwargs)

    def _raised(self, value: Any) -> Any:
        dtype = value.dtype if isinstance(value, Tensor) else value
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or dtype.itemsize >= self.dtype.itemsize:
            return value
        self.lower.add(dtype)
        return value.to(self.dtype) if isinstance(value, Tensor) else self.dtype


def _outputs(model: nn.Module, batch: Tensor) -> tuple[dict[str, Tensor], list[torch.dtype]]:
    """What the network puts out, and the precisions of the autocast in it; ExportError where it takes no such batch."""
    with watching_autocast() as precisions:
        try:
            output = model(batch.clone())  # which the network may change in place
        except Exception as error:
            raise ExportError(
                f"the network itself does not take a batch of {len(batch)} of the shape {tuple(batch.shape[1:])}, so "
                f"the graph cannot be proved: {reason(error)}."
            ) from error
    return named_outputs(output, taken=(INPUT,)), precisions


def takes(model: nn.Module, batch: Tensor) -> bool:
    """Whether the network itself takes inputs of such a shape."""
    with evaluating(model), torch.inference_mode(), silenced():
        try:
            _outputs(model, batch)
        except ExportError:
            return False
    return True


def _served(runtime: Any, batch: Tensor) -> dict[str, Tensor]:
    """What ONNX Runtime puts out."""
    names = [output.name for output in runtime.get_outputs()]
    try:
        arrays = runtime.run(names, {INPUT: batch.numpy()})
    except Exception as error:  # its errors have no class in common but this one
        raise ExportError(f"ONNX Runtime fails on the graph at batch size {len(batch)}: {_said(error)}.") from error
    return {name: torch.from_numpy(np.asarray(array)) for name, array in zip(names, arrays, strict=True)}


def _difference(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest relative error of any output; infinite where the outputs are not of one name, shape and kind."""
    if actual.keys() != expected.keys():
        return math.inf
    return max((_relative(actual[name], tensor) for name, tensor in expected.items()), default=math.inf)


def _relative(actual: Tensor, expected: Tensor) -> float:
    if actual.shape != expected.shape or actual.is_floating_point() != expected.is_floating_point():
        return math.inf
    if not expected.is_floating_point():
        return 0.0 if torch.equal(actual.to(expected.dtype), expected) else math.inf
    actual, expected = actual.double(), expected.double()
    finite = expected.isfinite()
    if not torch.equal(actual[~finite].nan_to_num(), expected[~finite].nan_to_num()):
        return math.inf
    if not finite.any():
        return math.nan if expected.numel() else 0.0
    actual, expected = actual[finite], expected[finite]
    return float((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def _disagreement(
    runtime: Any, model: nn.Module, batch: Tensor, error: float, tolerance: float, decisions: Sequence[Decision]
) -> str:
    """Why a graph differs from its network: chance, the batch size, or neither."""
    first, _ = _outputs(model, batch)
    again, _ = _outputs(model, batch)
    if math.isnan(error):
        return (
            f"the network puts out nothing finite at batch size {len(batch)}, so the ONNX file cannot be proved; check "
            "the preprocessing, and the layers that afternorm inspect names."
        )
    if _difference(again, first) > tolerance:
        return (
            "the network puts out something else each time for the same inputs (it draws random numbers in forward), "
            "so no file can be proved to compute the same; make forward deterministic in evaluation mode."
        )
    by_count = _by_count(runtime, model, batch, tolerance, decisions)
    if by_count:
        return by_count
    return (
        f"the ONNX file differs from the network by {error:.1e} of the largest output at batch size {len(batch)}, "
        f"where {tolerance:.0e} is allowed, so it was not written; please report the architecture."
    )


def _by_count(runtime: Any, model: nn.Module, batch: Tensor, tolerance: float, decisions: Sequence[Decision]) -> str:
    """That the graph is right for two images only, for which it was made; empty where that is not so."""
    two = batch[:1].repeat(2, *[1] * (batch.dim() - 1)) if len(batch) == 1 else batch[:2]
    try:
        with watching_autocast(disabled=True):
            alike = _difference(_served(runtime, two), _outputs(model, two)[0]) <= tolerance
    except ExportError:
        return ""
    if len(batch) == 2 or not alike:
        return ""
    decision = against(decisions, {BATCH: len(batch)})
    if decision is not None and decision.is_number:
        return fixed(BATCH, 2, decision.place)
    return (
        f"the graph computes the same as the network at batch size 2, and not at batch size {len(batch)}: forward does "
        f"something else by the number of images{'' if decision is None else decision.place}, and a graph does one "
        "thing for all; let forward do the same at every batch size."
    )


def _said(error: BaseException) -> str:
    """What ONNX Runtime says, without the name of its error."""
    return re.sub(r"\[ONNXRuntimeError\] : \d+ : (\w+) : ", "", shortened(error))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def measure_latency(
    tuned: "onnx.ModelProto", original: "onnx.ModelProto", batches: Iterable[Tensor], runs: int, threads: int
) -> tuple[Latency, ...]:
    """Time both graphs on each batch, interleaved: mean of the fastest half, and a bootstrap of their ratio."""
    sessions = [session(graph, threads) for graph in (tuned, original)]
    return tuple(_time(sessions, batch, runs, threads) for batch in batches)


def _time(sessions: list[Any], batch: Tensor, runs: int, threads: int) -> Latency:
    feed = {INPUT: batch.numpy()}
    calls: list[Callable[[], object]] = [lambda s=s: s.run(None, feed) for s in sessions]  # type: ignore[misc]
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
