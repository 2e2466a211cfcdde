"""Opsets: a graph in the operators of an older version of ONNX, for runtimes that know no newer one.

torch translates into opset 18 or later, and onnx's own converter stops at the axes of ReduceMean. Below 18 each
operator whose meaning or form changed is written in its earlier form, which computes the same; what has none is refused
by its name. The numbers are those of https://github.com/onnx/onnx/blob/main/docs/Changelog.md.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import inliner, numpy_helper

from calibrate.errors import ExportError, said
from calibrate.recipe import GraphOptions

#: The lowest opset that torch translates into.
LOWEST_TRANSLATED = 18


def lower_(model: onnx.ModelProto, options: GraphOptions) -> None:
    """Give ``model`` the opset and the IR version of ``options``, and raise ExportError where it cannot have them.

    *Equals the graph* that came, up to the order in which LayerNormalization rounds.
    Limits: a Reshape that may put out no element is as it was in opset 13 only where no size in it is 0.
    """
    opset, ir_version = options.versions
    if opset < LOWEST_TRANSLATED:
        if model.functions:
            model.CopyFrom(inliner.inline_local_functions(model))
        _Lowering(model.graph, opset).lower_(model.graph)
        _drop_unused_(model.graph)
        for item in filter(_is_onnx, model.opset_import):
            item.version = opset
        _check(model, opset)
    model.ir_version = ir_version
    (written,) = {item.version for item in filter(_is_onnx, model.opset_import)}
    if written != opset:
        raise ExportError(
            f"opset {opset} was asked for, and torch {torch.__version__} wrote {written}; ask for that with --opset "
            f"{written}, or upgrade torch and onnxscript."
        )


def _drop_unused_(graph: onnx.GraphProto) -> None:
    """Remove the constants that became attributes, of which ONNX Runtime would warn at each load."""
    used = {value.name for value in graph.output} | set(_read(graph))
    for initializer in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(initializer)
    for node in [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in used]:
        graph.node.remove(node)


def _read(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of all values that a node of the graph, or of a graph inside it, takes."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from (value.name for value in attribute.g.output)
                yield from _read(attribute.g)


def _is_onnx(item: onnx.NodeProto | onnx.OperatorSetIdProto) -> bool:
    """Whether an operator, or a set of them, is one of ONNX itself."""
    return item.domain in ("", "ai.onnx")


def _check(model: onnx.ModelProto, opset: int) -> None:
    """Raise ExportError where the lowered graph breaks the rules of its opset, as for types that it lacks."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"the network cannot be written in opset {opset} ({said(error)}); ask for --opset {LOWEST_TRANSLATED} or "
            "later."
        ) from error


class _Lowering:
    """Rewrites the nodes of one graph, and of the graphs inside it, for ``opset``."""

    def __init__(self, graph: onnx.GraphProto, opset: int, outer: "_Lowering | None" = None) -> None:
        self.opset = opset
        self.constants: dict[str, NDArray[Any]] = dict(outer.constants) if outer else {}
        self.types: dict[str, Any] = dict(outer.types) if outer else {}
        self.constants.update({item.name: numpy_helper.to_array(item) for item in graph.initializer})
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        for value in (*graph.input, *graph.output, *graph.value_info):
            self.types[value.name] = value.type.tensor_type
        self._outer = outer
        self._names = 0
        self._nodes: list[onnx.NodeProto] = []

    def lower_(self, graph: onnx.GraphProto) -> None:
        """Put in the place of each node what computes the same in the earlier opset."""
        nodes = list(graph.node)
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    _Lowering(attribute.g, self.opset, self).lower_(attribute.g)
            since, rewrite = _REWRITES.get(node.op_type, (0, None)) if _is_onnx(node) else (0, None)
            if rewrite is not None and self.opset < since:
                rewrite(self, node)
            else:
                self._require(node)
                self._nodes.append(node)
        del graph.node[:]
        graph.node.extend(self._nodes)

    def keep(self, node: onnx.NodeProto) -> None:
        """Take over a node that was made to fit."""
        self._nodes.append(node)

    def add(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node of one output; the name of that."""
        output = output or self._fresh()
        self._nodes.append(onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; its name."""
        return self.add("Constant", [], value=numpy_helper.from_array(value))

    def type_of(self, name: str) -> int | None:
        """The element type of a value, None where the graph does not say."""
        if name in self.constants:
            return int(onnx.helper.np_dtype_to_tensor_dtype(self.constants[name].dtype))
        return int(self.types[name].elem_type) if name in self.types else None

    def shape_of(self, name: str) -> list[int | None] | None:
        """The sizes of a value, None for one that is free; None where not even their count is known."""
        if name in self.constants:
            return [*self.constants[name].shape]
        if name not in self.types or not self.types[name].HasField("shape"):
            return None
        return [dim.dim_value if dim.HasField("dim_value") else None for dim in self.types[name].shape.dim]

    def refuse(self, node: onnx.NodeProto, since: int, what: str = "") -> ExportError:
        """That the operator of ``node``, or ``what`` it does, came with the opset ``since``."""
        return ExportError(
            f"the network cannot be written in opset {self.opset}: the ONNX operator {node.op_type}{what} came with "
            f"opset {since}; ask for --opset {since} or later."
        )

    def _fresh(self) -> str:
        if self._outer is not None:
            return self._outer._fresh()
        self._names += 1
        return f"lowered_{self._names}"

    def _require(self, node: onnx.NodeProto) -> None:
        """Raise ExportError where the opset has no such operator."""
        first = _first_versions().get(node.op_type, 0) if _is_onnx(node) else 0
        if first > self.opset:
            raise self.refuse(node, first)


@functools.cache
def _first_versions() -> dict[str, int]:
    """The opset that each operator came with."""
    first: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            first[schema.name] = min(schema.since_version, first.get(schema.name, schema.since_version))
    return first


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


def _without_(node: onnx.NodeProto, *names: str) -> None:
    kept = [item for item in node.attribute if item.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)


def _default_only(since: int, **defaults: Any) -> Callable[[_Lowering, onnx.NodeProto], None]:
    """Leave out attributes that came with the opset ``since``, where they say what was always done."""

    def rewrite(lowering: _Lowering, node: onnx.NodeProto) -> None:
        given = _attributes(node)
        for name, default in defaults.items():
            if given.get(name, default) != default:
                raise lowering.refuse(node, since, f" with {name}")
        _without_(node, *defaults)
        lowering.keep(node)

    return rewrite


def _reduce(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """The axes were an attribute."""
    given = _attributes(node)
    axes = lowering.constants.get(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if axes is None and len(node.input) > 1 and node.input[1]:
        raise lowering.refuse(node, 18, " with computed axes")
    if (axes is None or not axes.size) and given.get("noop_with_empty_axes", 0):
        lowering.add("Identity", node.input[:1], node.output[0])
        return
    _without_(node, "noop_with_empty_axes")
    del node.input[1:]
    if axes is not None and axes.size:
        node.attribute.append(onnx.helper.make_attribute("axes", [int(axis) for axis in axes.flatten()]))
    lowering.keep(node)


def _split(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """The sizes were given, or all the same; ``num_outputs`` makes all the same but the last."""
    given = _attributes(node)
    if "num_outputs" in given:
        shape, axis = lowering.shape_of(node.input[0]), given.get("axis", 0)
        size = shape[axis] if shape else None
        if size is not None:
            each = math.ceil(size / given["num_outputs"])
            sizes = [each] * (given["num_outputs"] - 1)
            node.input.append(lowering.constant(np.array([*sizes, size - sum(sizes)], np.int64)))
        _without_(node, "num_outputs")
    lowering.keep(node)


def _pad(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """Every axis had to be padded."""
    if len(node.input) > 3 and node.input[3]:
        shape = lowering.shape_of(node.input[0])
        pads, axes = lowering.constants.get(node.input[1]), lowering.constants.get(node.input[3])
        if shape is None or pads is None or axes is None:
            raise lowering.refuse(node, 18, " with computed axes")
        whole = np.zeros((2, len(shape)), np.int64)
        whole[:, axes.astype(int) % len(shape)] = pads.reshape(2, -1)
        node.input[1] = lowering.constant(whole.flatten())
    del node.input[3:]
    lowering.keep(node)


def _scatter(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """Up to 15 values were put in place, up to 17 also added or multiplied."""
    kind = _attributes(node).get("reduction", b"none")
    if kind in (b"min", b"max"):
        raise lowering.refuse(node, 18, f" with reduction {kind.decode()}")
    if lowering.opset < 16:
        _default_only(16, reduction=b"none")(lowering, node)
    else:
        lowering.keep(node)


def _layer_normalization(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """Y = (x − mean)/√(var + eps)·scale + bias over the last axes, in float32 where x is half."""
    given = _attributes(node)
    shape, axis = lowering.shape_of(node.input[0]), given.get("axis", -1)
    dtype = lowering.type_of(node.input[0])
    if axis >= 0:
        if shape is None:
            raise lowering.refuse(node, 17)
        axis -= len(shape)
    if (len(node.output) > 1 and any(node.output[1:])) or dtype is None:
        raise lowering.refuse(node, 17)
    stash = onnx.TensorProto.DOUBLE if dtype == onnx.TensorProto.DOUBLE else onnx.TensorProto.FLOAT
    x = node.input[0] if dtype == stash else lowering.add("Cast", node.input[:1], to=stash)
    axes = list(range(axis, 0))
    offset = lowering.add("Sub", [x, lowering.add("ReduceMean", [x], axes=axes)])
    var = lowering.add("ReduceMean", [lowering.add("Mul", [offset, offset])], axes=axes)
    eps = lowering.constant(np.array(given.get("epsilon", 1e-5), onnx.helper.tensor_dtype_to_np_dtype(stash)))
    y = lowering.add("Div", [offset, lowering.add("Sqrt", [lowering.add("Add", [var, eps])])])
    y = y if dtype == stash else lowering.add("Cast", [y], to=dtype)
    has_bias = len(node.input) > 2 and bool(node.input[2])
    y = lowering.add("Mul", [y, node.input[1]], None if has_bias else node.output[0])
    if has_bias:
        lowering.add("Add", [y, node.input[2]], node.output[0])


def _hard_swish(lowering: _Lowering, node: onnx.NodeProto) -> None:
    gate = lowering.add("HardSigmoid", node.input, alpha=1 / 6, beta=0.5)
    lowering.add("Mul", [node.input[0], gate], node.output[0])


def _mish(lowering: _Lowering, node: onnx.NodeProto) -> None:
    gate = lowering.add("Tanh", [lowering.add("Softplus", node.input)])
    lowering.add("Mul", [node.input[0], gate], node.output[0])


def _shape(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """The whole shape was put out."""
    given = _attributes(node)
    start, end = given.get("start", 0), given.get("end")
    if start == 0 and end is None:
        _without_(node, "start")
        lowering.keep(node)
        return
    ends = [np.array([bound], np.int64) for bound in (start, np.iinfo(np.int64).max if end is None else end)]
    whole = lowering.add("Shape", node.input)
    lowering.add("Slice", [whole, *map(lowering.constant, ends)], node.output[0])


def _reshape(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """A size 0 always meant that of the input."""
    shape = lowering.constants.get(node.input[1])
    if _attributes(node).get("allowzero", 0) and shape is not None and not shape.all():
        raise lowering.refuse(node, 14, " with a size 0")
    _without_(node, "allowzero")
    lowering.keep(node)


def _roi_align(lowering: _Lowering, node: onnx.NodeProto) -> None:
    """Corners were not moved by half a pixel, which is the default since."""
    if _attributes(node).get("coordinate_transformation_mode", b"half_pixel") != b"output_half_pixel":
        raise lowering.refuse(node, 16, " with coordinate_transformation_mode half_pixel")
    _without_(node, "coordinate_transformation_mode")
    lowering.keep(node)


def _cast_like(lowering: _Lowering, node: onnx.NodeProto) -> None:
    dtype = lowering.type_of(node.input[1])
    if dtype is None:
        raise lowering.refuse(node, 15)
    lowering.add("Cast", node.input[:1], node.output[0], to=dtype)


#: Operators whose form or meaning changed: since which opset, and what writes them in the form before.
_REWRITES: dict[str, tuple[int, Callable[[_Lowering, onnx.NodeProto], None]]] = {
    **dict.fromkeys(("GRU", "LSTM", "RNN"), (14, _default_only(14, layout=0))),
    **dict.fromkeys(
        (
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSumSquare",
        ),
        (18, _reduce),
    ),
    **dict.fromkeys(("ScatterElements", "ScatterND"), (18, _scatter)),
    "BatchNormalization": (14, _default_only(14, training_mode=0)),
    "CastLike": (15, _cast_like),
    "HardSwish": (14, _hard_swish),
    "LayerNormalization": (17, _layer_normalization),
    "LpPool": (18, _default_only(18, ceil_mode=0, dilations=None)),
    "Mish": (18, _mish),
    "Pad": (18, _pad),
    "Reshape": (14, _reshape),
    "Resize": (18, _default_only(18, antialias=0, keep_aspect_ratio_policy=b"stretch", axes=None)),
    "RoiAlign": (16, _roi_align),
    "Shape": (15, _shape),
    "Split": (18, _split),
}
