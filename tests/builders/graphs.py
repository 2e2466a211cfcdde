"""ONNX graphs, told apart by what they compute with and not by their numbers."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from calibrate.export import to_onnx

if TYPE_CHECKING:
    import onnx

#: The operator of a node, its attributes and the shapes of what it puts out; a dimension is a number or a name.
Node = tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]


def nodes(graph: "onnx.ModelProto") -> list[Node]:
    """The nodes of ``graph`` in order."""
    from onnx import helper, shape_inference

    inferred = shape_inference.infer_shapes(graph, strict_mode=True).graph
    values = [*inferred.value_info, *inferred.output]
    shapes = {
        value.name: tuple(str(dim.dim_param or dim.dim_value) for dim in value.type.tensor_type.shape.dim)
        for value in values
    }
    return [
        (
            node.op_type,
            tuple(f"{item.name} {helper.get_attribute_value(item)}" for item in node.attribute),
            tuple(shapes[name] for name in node.output),
        )
        for node in inferred.node
    ]


def parameter_shapes(graph: "onnx.ModelProto") -> list[tuple[int, ...]]:
    """The shapes of the numbers that ``graph`` holds, in order."""
    return [tuple(item.dims) for item in graph.graph.initializer]


def exported(model: nn.Module, inputs: Tensor) -> "onnx.ModelProto":
    """The graph that the network is served as, of inputs like these."""
    return to_onnx(model, inputs[:2], {})
