"""A file is of the opset and IR version asked for, and computes the same in each."""

import onnx
import pytest
import torch
from torch import Tensor, nn

from calibrate.engine.delivery.proof import proven_onnx
from calibrate.errors import ExportError, RecipeError
from calibrate.export import Provenance, check_tuned, tuned_bytes
from calibrate.export.opsets import lower_
from calibrate.recipe import LOWEST_IR, GraphOptions, Outputs, parse
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.networks import convolutional, warmed_up


class Everything(nn.Module):
    """Operators that were written otherwise in older opsets: (N, 1, 8, 8) to (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 3)
        self.layers = nn.LayerNorm([8, 6, 6])
        self.rest = nn.Sequential(nn.Hardswish(), nn.Mish(), nn.GroupNorm(2, 8), nn.Upsample(scale_factor=2))
        self.memory = nn.LSTM(8, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.rest(self.layers(self.norm(self.conv(x))))
        left, right = h.chunk(2, 1)
        h = torch.cat([left * 2, torch.nn.functional.gelu(right)], 1)
        h = torch.nn.functional.adaptive_avg_pool2d(torch.nn.functional.pad(h, (1, 1, 1, 1), mode="reflect"), 2)
        t, _ = self.memory(h.flatten(2).transpose(1, 2))
        return self.linear(t.std(1) + t.amax(1) + t.amin(1) + t.norm(dim=1) + t.logsumexp(1) + t.prod(1) + t.mean(1))


def weighed() -> nn.Module:
    """One whose layers weigh their examples."""
    network = warmed_up(convolutional())
    weigh_examples_(network, find_sites(network), 0.3)
    return network


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17, 18, 20, 22, 25])
def test_older_opsets_compute_the_same(opset: int) -> None:
    torch.manual_seed(0)
    graph, parity = proven_onnx(Everything().eval(), torch.randn(3, 1, 8, 8), {}, "noise", 1, GraphOptions(opset=opset))
    reopened = onnx.load_from_string(graph.SerializeToString())
    assert [(item.domain, item.version) for item in reopened.opset_import] == [("", opset)]
    assert reopened.ir_version == onnx.helper.OP_SET_ID_VERSION_MAP["ai.onnx", opset]
    onnx.checker.check_model(reopened, full_check=True)
    assert len(parity) == 3


@pytest.mark.parametrize("opset", [13, 16])
def test_layers_that_weigh_examples_are_lowered_too_with_any_height_and_width(opset: int) -> None:
    options = GraphOptions(opset=opset, ir_version=9, dynamic=True)
    graph, parity = proven_onnx(weighed(), torch.randn(3, 1, 8, 8), {}, "noise", 1, options)
    assert (graph.opset_import[0].version, graph.ir_version) == (opset, 9)
    dims = [dim.dim_param or dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 1, "height", "width"]
    assert parity[-1].size == (16, 24)


def test_every_lowest_ir_version_is_that_of_onnx() -> None:
    for opset, lowest in LOWEST_IR.items():
        assert lowest == min(row[1] for row in onnx.helper.VERSION_TABLE if row[2] >= opset)


def test_an_operator_that_an_opset_lacks_is_named_with_the_bound() -> None:
    class Sampled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            grid = torch.zeros(1, 2, 2, 2).expand(x.shape[0], 2, 2, 2)
            return torch.nn.functional.grid_sample(x, grid, align_corners=True).flatten(1)

    example = torch.randn(2, 1, 8, 8)
    with pytest.raises(ExportError, match=r"opset 15: the ONNX operator GridSample came with opset 16"):
        proven_onnx(Sampled(), example, {}, "noise", 1, GraphOptions(opset=15))
    proven_onnx(Sampled(), example, {}, "noise", 1, GraphOptions(opset=16))


def test_an_opset_that_torch_did_not_write_is_refused_with_the_one_it_wrote() -> None:
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "graph", values[:1], values[1:])
    written = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    with pytest.raises(ExportError, match=r"opset 25 was asked for, .* wrote 18; ask for that with --opset 18"):
        lower_(written, GraphOptions(opset=25))


def test_a_network_of_one_size_cannot_leave_it_free() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(ExportError, match=r"--dynamic"):
        proven_onnx(network, torch.randn(2, 1, 8, 8), {}, "noise", 1, GraphOptions(dynamic=True))


@pytest.mark.parametrize("document", [{"opset": 12}, {"opset": 26}, {"ir_version": 8}, {"opset": 22, "ir_version": 9}])
def test_versions_that_do_not_go_together_are_refused(document: dict[str, int]) -> None:
    with pytest.raises(RecipeError):
        parse(Outputs, document, "outputs")


def test_every_tensor_that_a_network_puts_out_is_an_output_by_its_name() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> dict[str, object]:
            maps = self.conv(x)
            return {"out": maps, "parts": (maps.mean((2, 3)), maps.argmax(1)), "input": x + 1}

    graph, parity = proven_onnx(Many().eval(), torch.randn(3, 1, 8, 8), {}, "noise", 1, GraphOptions())
    assert [value.name for value in graph.graph.output] == ["out", "parts_0", "parts_1", "input_2"]
    assert len(parity) == 3


class Pooled(nn.Module):
    """Pools to a size that divides that of the example."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.conv(x)))
        return self.linear(torch.nn.functional.adaptive_avg_pool2d(h, 4).flatten(1))


def test_a_size_that_is_no_multiple_disproves_what_multiples_do_not() -> None:
    with pytest.raises(ExportError, match=r"--dynamic leaves .* leave it out"):
        proven_onnx(Pooled().eval(), torch.randn(3, 1, 8, 8), {}, "noise", 1, GraphOptions(dynamic=True))


@pytest.mark.parametrize("opset", [13, 16])
def test_a_lowered_graph_keeps_no_constant_that_nothing_takes(opset: int) -> None:
    graph, _ = proven_onnx(Everything().eval(), torch.randn(3, 1, 8, 8), {}, "noise", 1, GraphOptions(opset=opset))
    taken = {name for node in graph.graph.node for name in node.input}
    assert {item.name for item in graph.graph.initializer} <= taken


class InPlace(nn.Module):
    """Changes its input."""

    def __init__(self) -> None:
        super().__init__()
        self.network = convolutional()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.mul_(2))


def test_the_tuned_file_of_a_network_that_changes_its_input_is_proved() -> None:
    network = InPlace().eval()
    provenance = Provenance.model_construct(architecture="a:b")
    assert check_tuned(tuned_bytes(network, provenance), network, torch.randn(4, 1, 8, 8)).relative_error == 0
