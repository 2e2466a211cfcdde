"""ONNX: the network as a graph that ONNX Runtime serves, without a trace of where it was made."""

import logging
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from calibrate.errors import ExportError
from calibrate.surgery import for_inference

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUT = "input", "logits"


def to_onnx(model: nn.Module, example: Tensor, metadata: dict[str, str]) -> "onnx.ModelProto":
    """The graph of ``model`` in evaluation mode, exported by ``torch.export`` with a dynamic batch dimension.

    ``example`` (N ≥ 2, C, *) gives the other dimensions; ``metadata`` goes into the file. Names of Python files,
    source lines and stack traces, which the exporter records, are removed. What is exported is ``for_inference`` of the
    network, which costs less.

    Raises ExportError where ``torch.export`` cannot trace the network, and for bfloat16, which ONNX Runtime cannot run.
    """
    if example.dtype == torch.bfloat16:
        raise ExportError(
            "the network computes in bfloat16, for which ONNX Runtime has no kernels on the CPU, so a file could not "
            "be proved; convert the checkpoint to float32 or float16 first, or write the weights alone with "
            "--formats safetensors."
        )
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")  # the exporter's own deprecations are not the user's concern
            program = torch.onnx.export(
                for_inference(model, example),
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"torch.export cannot trace the network ({type(error).__name__}: {reason}); "
            "write the weights alone with --formats safetensors."
        ) from error
    assert program is not None
    graph = program.model_proto
    _forget_origins_(graph)
    import onnx

    onnx.helper.set_model_props(graph, metadata)
    return graph


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


class _quiet:  # noqa: N801  (reads as a verb in a with statement)
    """Keep the exporter's loggers silent; what matters is raised."""

    _loggers = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")

    def __enter__(self) -> None:
        self._levels = [logging.getLogger(name).level for name in self._loggers]
        for name in self._loggers:
            logging.getLogger(name).setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for name, level in zip(self._loggers, self._levels, strict=True):
            logging.getLogger(name).setLevel(level)
