"""ONNX: the network as a graph that ONNX Runtime serves, without a trace of where it was made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch._export.verifier import SpecViolationError

from calibrate.errors import ExportError
from calibrate.export.decisions import BATCH, SPATIAL, Decision, fixed_at, watching_decisions
from calibrate.export.quiet import silenced, watching_autocast
from calibrate.export.reasons import reason
from calibrate.recipe import GraphOptions
from calibrate.surgery import for_inference, named_outputs

if TYPE_CHECKING:
    import onnx

INPUT = "input"


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A graph, its free dimensions by their numbers, and what tracing decided by their sizes in the example."""

    graph: "onnx.ModelProto"
    free: dict[int, str]
    decisions: Sequence[Decision]


def to_onnx(
    model: nn.Module,
    example: Tensor,
    metadata: dict[str, str],
    options: GraphOptions = GraphOptions(),  # noqa: B008  (frozen)
) -> "onnx.ModelProto":
    """The graph of ``model``: see :func:`traced`."""
    return traced(model, example, metadata, options).graph


def traced(model: nn.Module, example: Tensor, metadata: dict[str, str], options: GraphOptions) -> Traced:
    """The graph of ``model`` in evaluation mode, exported by ``torch.export`` with a dynamic batch dimension.

    ``example`` (N ≥ 2, C, *) gives the other dimensions, of which ``options`` may leave height and width free;
    ``metadata`` goes into the file. Names of Python files, source lines and stack traces, which the exporter records,
    are removed. What is exported is ``for_inference`` of the network, which costs less, and computes in the network's
    precision where ``forward`` asks for autocast. Each tensor that the network puts out is an output of the graph, by
    the names of ``named_outputs``.

    Raises ExportError where the network cannot be traced or translated, or fixes a dimension that is to be free; where
    the opset has no operators for it; and for bfloat16, which ONNX Runtime cannot run.
    """
    import onnx

    from calibrate.export.opsets import LOWEST_TRANSLATED, lower_

    if example.dtype == torch.bfloat16:
        raise ExportError(
            "the network computes in bfloat16, for which ONNX Runtime has no kernels on the CPU, so a file could not "
            "be proved; convert the checkpoint to float32 or float16 first."
        )
    free = _free_dimensions(example, options)
    try:
        with silenced(), watching_autocast(disabled=True), watching_decisions(free) as decisions:
            graph = _translated(model, example, free, max(options.versions[0], LOWEST_TRANSLATED))
    except ExportError:
        raise
    except (Exception, SystemExit) as error:  # whatever the exporter's passes and the network's code raise
        raise ExportError(_failed(error, model, decisions)) from error
    _check_free(graph, example, free, decisions)
    _name_dimensions_(graph, free)
    _forget_origins_(graph)
    lower_(graph, options)
    onnx.helper.set_model_props(graph, metadata)
    return Traced(graph, free, decisions)


def _failed(error: BaseException, model: nn.Module, decisions: Sequence[Decision]) -> str:
    """What the exporter raised, and whether a compiled part or a height or width taken as a number may be why."""
    compiled = [name for name, part in model.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    if compiled and isinstance(error.__cause__, SpecViolationError):
        return (
            f"the network cannot be exported to ONNX: its part {compiled[0]} was compiled by torch.jit, and "
            "torch.export takes no weights of such a part; build it from its Python class."
        )
    for decision in decisions:
        if decision.is_number and BATCH not in decision.dimensions:
            return (
                "--dynamic leaves height and width free, and the network takes a number that follows from them "
                f"({decision}), for which the exporter fails ({reason(error)}); leave --dynamic out."
            )
    return f"the network cannot be exported to ONNX: {reason(error)}."


def _free_dimensions(example: Tensor, options: GraphOptions) -> dict[int, str]:
    """The dimensions of the input that are free, and their names."""
    free = {0: BATCH}
    if options.dynamic:
        names = SPATIAL.get(example.dim())
        if names is None:
            raise ExportError(
                f"--dynamic leaves height and width free, and the network's inputs have the shape "
                f"(N, {', '.join(map(str, example.shape[1:]))}), without them; leave --dynamic out."
            )
        free.update(enumerate(names, 2))
    return free


def _translated(model: nn.Module, example: Tensor, free: dict[int, str], opset: int) -> "onnx.ModelProto":
    served = for_inference(model, example)
    with torch.inference_mode():
        output = served(example)
    names = list(named_outputs(output, taken=(INPUT,)))
    if not names:
        raise ExportError(
            f"the network puts out no tensor, but {type(output).__name__}; wrap it in a factory that returns tensors "
            "(--architecture package.module:factory)."
        )
    program = torch.onnx.export(
        served if isinstance(output, Tensor) else _Tensors(served).eval(),
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=names,
        opset_version=opset,
        dynamic_shapes=(dict.fromkeys(free, torch.export.Dim.AUTO),),
        verbose=False,
    )
    assert program is not None
    return program.model_proto


class _Tensors(nn.Module):
    """Puts out the tensors of a network's output as a tuple."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(named_outputs(self.model(x)).values())


def _check_free(graph: "onnx.ModelProto", example: Tensor, free: dict[int, str], decisions: Sequence[Decision]) -> None:
    """Raise ExportError where the graph takes only the example's size in a dimension that is to be free."""
    if not graph.graph.input:
        raise ExportError("the network's output does not depend on its input, so there is no graph to export.")
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    for dim, name in free.items():
        if not shape[dim].dim_param:
            raise ExportError(fixed(name, example.shape[dim], fixed_at(decisions, name)))


def fixed(dimension: str, size: int, place: str) -> str:
    """That tracing makes a number of a dimension that is to be free, at that ``place``."""
    if dimension == BATCH:
        return (
            f"the batch size is fixed in the graph: forward takes it as a number (as len(x) or int(x.shape[0]) do, and "
            f"loops over the images){place}, so the graph would take {size} images at a time and no other count; "
            "use x.shape[0] as it is, −1 in view, or operations on the whole batch."
        )
    return (
        f"the {dimension} is fixed in the graph at {size}: it is taken as a number{place}, by forward or by an "
        "operator that ONNX has for fixed sizes only, so --dynamic cannot be had for this network; leave --dynamic out."
    )


def _name_dimensions_(graph: "onnx.ModelProto", free: dict[int, str]) -> None:
    """Call the free dimensions by their names wherever the graph mentions them, also in what is computed of them."""
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    names = {shape[dim].dim_param: name for dim, name in free.items()}
    symbol = re.compile("|".join(rf"\b{re.escape(old)}\b" for old in names))
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = symbol.sub(lambda found: names[found[0]], dim.dim_param)


def _forget_origins_(model: "onnx.ModelProto") -> None:
    """Remove what the exporter recorded about Python: metadata, documentation, and the names of its passes."""
    model.doc_string = ""
    del model.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        _forget_nodes_(function.node)
    _forget_graph_(model.graph)


def _forget_graph_(graph: "onnx.GraphProto") -> None:
    graph.doc_string = ""
    graph.name = "afternorm"
    del graph.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    _forget_nodes_(graph.node)


def _forget_nodes_(nodes: "object") -> None:
    for node in nodes:  # type: ignore[attr-defined]
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget_graph_(attribute.g)
