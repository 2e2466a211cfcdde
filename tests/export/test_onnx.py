"""An exported file computes what the network computes, and tells nothing else."""

import copy
import getpass
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import calibrate
from calibrate import Recipe, open_model, retrofit
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, DemoInputs
from calibrate.errors import ExportError
from calibrate.export import check_parity, measure_latency, to_onnx
from calibrate.steps import SearchStatistics, Temperature
from calibrate.surgery import divide_logits_, find_sites, select, weigh_examples_
from tests.builders.graphs import exported, nodes, parameter_shapes
from tests.builders.networks import LogSoftmax, Mixed, Tied, Volumes, convolutional, grouped, warmed_up


def tuned(build: "type[nn.Module]", alpha: float) -> nn.Module:
    model = warmed_up(build())
    weigh_examples_(model, select(find_sites(model), ("*",)), alpha)
    divide_logits_(model, 1.5, torch.randn(2, 1, 8, 8))
    return model


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("build", [convolutional, Tied, LogSoftmax], ids=["original", "tied", "log-softmax"])
def test_the_graph_agrees_with_the_network_at_every_batch_size(build: "type[nn.Module]", alpha: float) -> None:
    model = tuned(build, alpha)
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    parity = check_parity(to_onnx(model, x[:2], {}), model, [x[:1], x[:3], x], "noise", 1)
    assert [item.batch_size for item in parity] == [1, 3, 64]


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.9, 0.95, 1.0])
def test_group_norm_agrees_too_wherever_its_moments_lie(alpha: float) -> None:
    """The moments are far from the example's own, as a folded mean would be."""
    model = grouped()
    weigh_examples_(model, find_sites(model), alpha)
    warmed_up(model)
    weigh_examples_(model, find_sites(model), alpha)
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    parity = check_parity(to_onnx(model, x[:2], {}), model, [x[:1], x[:3], x], "noise", 1)
    assert max(item.relative_error for item in parity) <= 2e-5


def test_a_network_in_training_mode_is_exported_in_evaluation_mode_and_left_as_it_was() -> None:
    model = tuned(convolutional, 0.1).train()
    x = torch.randn(4, 1, 8, 8)
    check_parity(to_onnx(model, x[:2], {}), model, [x], "noise", 1)
    assert model.training


def test_a_graph_that_computes_something_else_is_refused() -> None:
    model = tuned(convolutional, 0.1)
    graph = to_onnx(model, torch.randn(2, 1, 8, 8), {})
    with torch.no_grad():
        model[0].weight.mul_(1.001)  # type: ignore[index, operator, union-attr]
    with pytest.raises(ExportError, match=r"differs from the network by .* so it was not written"):
        check_parity(graph, model, [torch.randn(3, 1, 8, 8)], "noise", 1)


def test_a_network_that_cannot_be_traced_is_explained() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

    with pytest.raises(ExportError, match=r"data-dependent control flow\) at .*test_onnx.py:\d+ \(`return x.flatten"):
        to_onnx(Branching(), torch.ones(2, 1, 2, 2), {})


def test_the_file_tells_nothing_of_where_it_was_made() -> None:
    graph = to_onnx(tuned(convolutional, 0.1), torch.randn(2, 1, 8, 8), {"recipe_digest": "abc"})
    content = graph.SerializeToString()
    home = Path(calibrate.__file__).parent
    for trace in (str(home), str(home.parent), ".py", "site-packages", "File ", "forward", getpass.getuser() + "@"):
        assert trace.encode() not in content, trace
    assert {item.key: item.value for item in graph.metadata_props} == {"recipe_digest": "abc"}
    onnx.checker.check_model(graph, full_check=True)
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_latency_compares_a_graph_with_itself_to_about_one() -> None:
    """Not a timed assertion: only that the figures are of one scale, ordered and counted."""
    graph = to_onnx(tuned(convolutional, 0.1), torch.randn(2, 1, 8, 8), {})
    (item,) = measure_latency(graph, graph, [torch.randn(2, 1, 8, 8)], 20, 1)
    assert (item.batch_size, item.runs, item.threads) == (2, 20, 1)
    assert item.ratio == pytest.approx(item.tuned_ms / item.original_ms)
    assert item.ratio_low <= item.ratio_high


def test_a_layer_that_normalises_with_its_batch_is_no_obstacle() -> None:
    """``Mixed`` holds a layer without running statistics: exported, its output depends on the batch as in torch."""
    model = tuned(Mixed, 0.1)
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    graph = to_onnx(model, x[:2], {})
    assert check_parity(graph, model, [x], "noise", 1)[0].relative_error <= 2e-5


@pytest.mark.parametrize("alpha", [0.1, 0.9, 0.95, torch.tensor([0.0, 0.2, 0.5, 0.9])], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_every_form_of_the_formula_agrees_with_the_network(alpha: float | torch.Tensor, dtype: torch.dtype) -> None:
    model = warmed_up(Volumes())
    weigh_examples_(model, find_sites(model), 0.5)
    for site in find_sites(model):
        site.module.alpha = alpha  # type: ignore[assignment]
    model = model.to(dtype)
    x = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    parity = check_parity(to_onnx(model, x[:2], {}), model, [x[:1], x[:3], x], "noise", 1)
    assert [item.batch_size for item in parity] == [1, 3, 7]


def test_the_moments_are_pooled_and_the_affine_is_one_batch_normalization() -> None:
    graph = to_onnx(tuned(convolutional, 0.1), torch.randn(2, 1, 8, 8), {}).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("GlobalAveragePool") == 4
    assert kinds.count("BatchNormalization") == 2
    assert kinds.count("ReduceMean") == 1  # the network's own


def test_searched_statistics_leave_the_nodes_of_the_bundled_network_as_they_were(demo_inputs: DemoInputs) -> None:
    """Another test could not tell: parity holds too where a network with new statistics keeps its BatchNorm nodes."""
    network = open_model(demo_inputs.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS).model
    steps = [SearchStatistics(), Temperature()]
    tuned = retrofit(network, Recipe(steps=steps), data=demo_inputs.scanned, preprocessing=PREPROCESSING)
    assert tuned.summary.tuned_parts == ("mixed statistics",)
    assert tuned.summary.changes.temperature != 1
    before, after = exported(network, tuned.examples), exported(tuned.model, tuned.examples)
    assert nodes(after) == nodes(before)
    assert parameter_shapes(after) == parameter_shapes(before)
    assert after.ByteSize() == before.ByteSize()
    assert [item.raw_data for item in after.graph.initializer] != [item.raw_data for item in before.graph.initializer]
    weighed = copy.deepcopy(network)
    weigh_examples_(weighed, find_sites(weighed), 0.1)
    assert nodes(exported(weighed, tuned.examples)) != nodes(before)
