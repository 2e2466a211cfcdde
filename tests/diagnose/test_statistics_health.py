"""Statistics health: what is sick is named, with its channels, nothing sound is, and networks stay as they were."""

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from calibrate import statistics_health
from calibrate.diagnose import statistics_health as module_door
from calibrate.result import LayerCondition, condition_findings
from calibrate.surgery import find_sites, for_inference, look, watching
from tests.builders.networks import Mixed, Tied, convolutional, frozen, grouped, warmed_up, with_norm
from tests.builders.sick import ILLNESSES, NETWORKS, Illness, Trained, never_filled_, trained
from tests.builders.states import assert_untouched, snapshot


def stacked(given: Trained) -> Tensor:
    return torch.stack([x for x, _ in given.data])


def sick(found: tuple[LayerCondition, ...]) -> list[tuple[str, str]]:
    return [(item.kind, item.layer) for item in found if item.sick]


def kinds(found: tuple[LayerCondition, ...]) -> list[str]:
    return [item.kind for item in found]


def moments_by_hand(network: nn.Module, name: str, x: Tensor) -> tuple[Any, Any]:
    """Mean and variance of what the layer ``name`` sees, in float64 numpy."""
    seen: list[Tensor] = []
    with watching([network.get_submodule(name)], before=lambda _, given: seen.append(given[0])), torch.no_grad():
        network(x)
    values = torch.cat(seen).double().transpose(0, 1).flatten(1).numpy()
    return values.mean(1), values.var(1)


@pytest.mark.parametrize("illness", ILLNESSES.values(), ids=ILLNESSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_sick_layer_is_named_and_no_other(name: str, illness: Illness) -> None:
    given = trained(name)
    layer: Any = given.network.get_submodule(given.middle)
    sound = layer.running_mean.clone(), layer.running_var.clone()
    illness.break_(layer)
    changed = (layer.running_mean != sound[0]) | (layer.running_var != sound[1])
    before = snapshot(given.network.train())
    found = statistics_health(given.network, stacked(given))
    assert_untouched(given.network, before)
    assert sick(found) == [(illness.kind, given.middle)]
    (item,) = (item for item in found if item.sick)
    assert item.channels == len(changed)
    if illness.kind != "variance-too-small":  # a channel that is quiet all the same is not sick
        assert item.affected == int(changed.sum())
        assert item.first == tuple(changed.nonzero().flatten().tolist()[:4])
    assert sick(statistics_health(given.network)) == ([(illness.kind, given.middle)] if illness.shows_alone else [])


@pytest.mark.parametrize("name", NETWORKS)
def test_sound_networks_are_sound_whatever_comes_in(name: str) -> None:
    """As they are, noise, of another scale, all alike; a few examples, one batch or many."""
    given = trained(name)
    x = stacked(given)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    loader = torch.utils.data.DataLoader(given.data, batch_size=5)  # type: ignore[arg-type]
    for inputs in (None, x, x[:8], x * 255, x / 255, noise, torch.zeros_like(x), x.split(3), loader):
        assert not sick(statistics_health(given.network, inputs)), type(inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_statistics_that_were_never_filled(name: str) -> None:
    given = trained(name)
    never_filled_(given.network)
    expected = [("statistics-never-filled", site.name) for site in find_sites(given.network)]
    for inputs in (None, stacked(given)):
        assert sick(statistics_health(given.network, inputs)) == expected
    (finding,) = condition_findings(statistics_health(given.network))
    assert "were never filled: all means are 0, all variances 1." in finding.message
    assert f"{len(expected)} layers (" in finding.message
    assert "although" not in finding.message


def test_a_counter_that_ran_does_not_fill_statistics_and_one_at_0_does_not_empty_them() -> None:
    """Momentum 0 counts batches; published weights often say 0."""
    network = nn.Sequential(nn.BatchNorm1d(3, momentum=0.0))
    network(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    (finding,) = condition_findings(statistics_health(network))
    assert "although 1 batch went by" in finding.message
    filled = warmed_up(convolutional())
    assert all(
        int(module.num_batches_tracked) == 0 for module in filled.modules() if hasattr(module, "num_batches_tracked")
    )
    assert not sick(statistics_health(filled))


def test_statistics_of_0_and_1_are_right_where_the_inputs_have_them() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 64, 2)).eval()
    x = torch.randn(40, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert sick(statistics_health(network)) == [("statistics-never-filled", "0")]
    assert not statistics_health(network, x)
    assert sick(statistics_health(network, 3 * x)) == [("statistics-never-filled", "0")]


def test_a_quiet_channel_is_dead_and_a_loud_one_with_the_same_variance_is_sick() -> None:
    given = trained("residual")
    layer: Any = given.network.get_submodule("layer3.0.bn1")
    convolution: Any = given.network.get_submodule("layer3.0.conv1")
    with torch.no_grad():
        convolution.weight[:7] = 0  # nothing comes in any more
        layer.running_mean[:7], layer.running_var[:7] = 0, 0
    x = stacked(given)
    found = statistics_health(given.network, x)
    assert kinds(found) == ["eps-matters"]
    assert found[0].affected == 7
    layer.running_var[9] = 0
    found = statistics_health(given.network, x)
    assert [(item.kind, item.first) for item in found if item.sick] == [("variance-too-small", (9,))]
    mean, variance = moments_by_hand(given.network, "layer3.0.bn1", x[:32])
    reference = np.sqrt((variance[9] + (mean[9] - float(layer.running_mean[9])) ** 2) / layer.eps)
    assert found[0].numbers["normalised"] == pytest.approx(reference, rel=0.5)  # it normalised by the batch before it
    with torch.no_grad():
        layer.weight[9] = 0  # and so it puts out β whatever comes in
    assert not sick(statistics_health(given.network, x))


def test_what_follows_a_sick_layer_is_judged_by_sound_inputs() -> None:
    """A variance that is 0 in the first layer makes all later inputs a thousand times as large."""
    given = trained("series")
    layers = [site.module for site in find_sites(given.network)]
    layers[0].running_var.zero_()  # type: ignore[operator]
    layers[2].running_var[:2] = 1e-7  # type: ignore[index]
    found = statistics_health(given.network, stacked(given))
    assert sick(found) == [("variance-too-small", "1"), ("variance-too-small", "7")]
    assert found[1].affected == 2


def test_all_sick_layers_are_named_where_all_are() -> None:
    given = trained("mobile")
    for number, site in enumerate(find_sites(given.network)):
        list(ILLNESSES.values())[number % len(ILLNESSES)].break_(site.module)
    expected = [
        (list(ILLNESSES.values())[number % len(ILLNESSES)].kind, site.name)
        for number, site in enumerate(find_sites(given.network))
    ]
    assert sick(statistics_health(given.network, stacked(given))) == expected


def test_images_of_another_scale_do_not_make_the_first_layer_sick_and_a_diverged_variance_does() -> None:
    """A network of 16-bit values: its first variance is beyond float16, and right."""
    given = trained("residual")
    first: Any = given.network.get_submodule("conv1")
    with torch.no_grad():
        first.weight.mul_(1)
    layer: Any = given.network.get_submodule("bn1")
    layer.running_mean.mul_(4095.0)
    layer.running_var.mul_(4095.0**2)
    x = stacked(given)
    right = statistics_health(given.network, 4095 * x)
    assert kinds(right) == ["variance-beyond-float16"]
    assert right[0].numbers["variance"] == pytest.approx(float(layer.running_var.max()))
    assert kinds(statistics_health(given.network, x)) == ["variance-beyond-float16"]
    layer.running_var.mul_(1e5)
    assert sick(statistics_health(given.network, 4095 * x)) == [("variance-too-large", "bn1")]


def test_quiet_channels_of_the_first_layer_are_dead_at_any_scale_of_the_inputs() -> None:
    given = trained("residual")
    first, layer = given.network.get_submodule("conv1"), given.network.get_submodule("bn1")
    with torch.no_grad():
        first.weight[:2].mul_(2e-3)  # type: ignore[index, union-attr, operator]
    for name, factor in (("running_mean", 2e-3), ("running_var", 4e-6)):
        layer.get_buffer(name)[:2].mul_(factor)
    x = stacked(given)
    for scale in (1, 255, 65535, 1 / 255):
        assert not sick(statistics_health(given.network, scale * x)), scale


def test_a_mean_that_is_far_and_right_is_told_from_one_that_is_wrong() -> None:
    """Temperatures in kelvin: 300 ± 1."""
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    network[0].running_mean[:] = torch.tensor([300.0, 1.0])
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) + torch.tensor([300.0, 1.0])
    network[0].running_var[:] = x.var(0)
    right, wrong = statistics_health(network, x), statistics_health(network, x - 300)
    assert [(item.kind, item.sick, item.first) for item in right] == [("mean-far", False, (0,))]
    assert [(item.kind, item.sick, item.first) for item in wrong] == [("mean-far", True, (0,))]
    assert sick(statistics_health(network)) == [("mean-far", "0")]
    assert "float32" in right[0].cure


class Breaks(nn.Module):
    """Fails in the pass number ``last``."""

    def __init__(self, body: nn.Module, last: int) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, x: Tensor) -> Tensor:
        self.last -= 1
        if self.last == 0:
            raise RuntimeError("the machine is on fire")
        out: Tensor = self.body(x)
        return out


def quiet_channels() -> tuple[nn.Module, Tensor]:
    """A network in a third of whose channels eps decides, and examples that say that they are right."""
    given = trained("mobile")
    x = stacked(given)
    for layer, convolution in (("1.conv.0.1", "1.conv.0.0"), ("2.conv.0.1", "2.conv.0.0")):
        norm: Any = given.network.get_submodule(layer)
        with torch.no_grad():
            given.network.get_submodule(convolution).weight[:8].mul_(0.03)  # type: ignore[operator, union-attr, index]
        norm.running_mean[:8].mul_(0.03)
        norm.running_var[:8].mul_(0.03**2)
    return given.network, x


def test_the_effect_of_eps_is_that_of_networks_with_another_eps() -> None:
    network, x = quiet_channels()
    found = [item for item in statistics_health(network, x) if item.kind == "eps-matters"]
    assert [item.layer for item in found] == ["1.conv.0.1", "2.conv.0.1"]
    assert all(item.affected >= 8 and not item.sick for item in found)

    def probabilities(factor: float) -> Any:
        other = copy.deepcopy(network)
        for item in found:
            norm: Any = other.get_submodule(item.layer)
            norm.eps *= factor
        with torch.no_grad():
            z = other(x[:8]).double().numpy()
        p = np.exp(z - z.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    for factor in (10, 0.1):
        expected = np.abs(probabilities(factor) - probabilities(1)).sum(1).mean() / 2
        assert expected > 1e-4
        for item in found:
            assert item.numbers[f"change_at_{factor}_eps"] == pytest.approx(expected, rel=1e-4)
    (finding,) = (finding for finding in condition_findings(found))
    assert f"eps × 10 moves {100 * found[0].numbers['change_at_10_eps']:.2g} % of an example's" in finding.message
    assert finding.severity == "info"


@pytest.mark.parametrize("last", [1, 2, 3, 4, 5])
def test_all_is_given_back_where_a_pass_fails(last: int) -> None:
    """The look, the moments, and the three passes over eps."""
    network, x = quiet_channels()
    broken = Breaks(network, last).train()
    before, eps = snapshot(broken), [site.module.eps for site in find_sites(network)]
    with pytest.raises(Exception, match="on fire"):
        statistics_health(broken, x)
    assert_untouched(broken, before)
    assert [site.module.eps for site in find_sites(network)] == eps
    assert not any(module._forward_pre_hooks for module in broken.modules())


class Branches(nn.Module):
    """A layer for each of two sites, one in use; and statistics that a function applies."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.sites = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])
        self.applied = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.sites[0](self.convolution(x)))
        own = self.applied
        x = nn.functional.batch_norm(x, own.running_mean, own.running_var, own.weight, own.bias, False, 0, own.eps)
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def test_layers_that_no_input_reaches_are_idle_and_not_sick() -> None:
    network = warmed_up(Branches())
    assert isinstance(network, Branches)
    network.sites[1].reset_running_stats()  # type: ignore[operator]
    network.sites[1].running_mean[0] = float("nan")  # type: ignore[index]
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = statistics_health(network, x)
    assert [(item.kind, item.layer) for item in found] == [("layer-idle", "sites.1"), ("layer-idle", "applied")]
    (finding,) = condition_findings(found)
    assert (finding.code, finding.severity) == ("layer-idle", "info")
    assert finding.message.startswith("no input reaches 2 layers (sites.1; applied). ")
    network.applied.running_var[1] = float("nan")  # a function applies it all the same: the logits are NaN
    assert ("statistics-not-finite", "applied") in sick(statistics_health(network, x))


def test_layers_that_are_reached_several_times_say_how_often_under_all_their_names() -> None:
    network = warmed_up(Tied())
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    (item,) = statistics_health(network, x)
    assert (item.kind, item.names, item.numbers) == ("layer-repeated", ("norm", "again.norm"), {"calls": 2.0})
    network.norm.running_mean[3] = float("inf")  # type: ignore[index, union-attr]
    (finding, _) = condition_findings(statistics_health(network, x))
    assert "norm = again.norm (1 of 4 channels: 3)" in finding.message


def test_a_layer_that_is_called_again_is_judged_by_all_its_inputs() -> None:
    network = warmed_up(Tied())
    network.norm.running_var[:2] = 1e-9  # type: ignore[index, union-attr]
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert sick(statistics_health(network, x)) == [("variance-too-small", "norm")]
    with torch.no_grad():  # its second call sees nothing, its first all
        network.second.weight.zero_()  # type: ignore[operator, union-attr]
        network.second.bias.copy_(network.norm.running_mean)  # type: ignore[operator, union-attr]
    assert sick(statistics_health(network, x)) == [("variance-too-small", "norm")]


def test_half_precision_frozen_grouped_and_bare_layers() -> None:
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    half = warmed_up(convolutional()).bfloat16()
    half[4].running_var[3] = float("inf")
    assert sick(statistics_health(half, x.bfloat16())) == [("statistics-not-finite", "4")]
    half[4].running_var[3] = 0
    assert sick(statistics_health(half, x.bfloat16())) == [("variance-too-small", "4")]
    assert sick(statistics_health(with_norm(FrozenBatchNorm2d), x)) == [
        ("statistics-never-filled", "1"), ("statistics-never-filled", "4")
    ]  # fmt: skip
    ice = warmed_up(frozen())
    assert not statistics_health(ice, x)
    ice[1].running_mean[0] = float("nan")
    assert sick(statistics_health(ice, x)) == [("statistics-not-finite", "1")]
    assert not statistics_health(grouped(), x)
    mixed = warmed_up(Mixed())
    assert not sick(statistics_health(mixed, x))
    mixed.act.running_mean[2] = float("nan")  # type: ignore[index, union-attr]
    (item,) = (item for item in statistics_health(mixed, x) if item.sick)
    assert item.layer == "act"
    assert "which is not proven to be batch normalisation" in item.cure
    assert "repair" not in item.cure
    assert not statistics_health(nn.Linear(2, 2), torch.zeros(9, 2))


@pytest.mark.parametrize("layer", ["BatchNormAct2d", "SyncBatchNorm"])
def test_other_layers_that_keep_statistics(layer: str) -> None:
    timm = pytest.importorskip("timm.layers")
    norm = timm.BatchNormAct2d if layer == "BatchNormAct2d" else nn.SyncBatchNorm
    network = warmed_up(with_norm(norm))
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not sick(statistics_health(network))
    if layer == "BatchNormAct2d":
        assert not sick(statistics_health(network, x))
    network[4].running_var[0] = float("nan")
    assert sick(statistics_health(network)) == [("statistics-not-finite", "4")]


def fused_by_torch(network: nn.Module) -> nn.Module:
    """BatchNorm in the convolutions, and Identity in its place, as torch's quantization leaves it."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in network.modules():
        names = [name for name, _ in module.named_children()]
        for name, follower in pairwise(names):
            convolution, norm = getattr(module, name), getattr(module, follower)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, follower, nn.Identity())
    return network


def test_batch_norm_that_was_folded_away_is_missed() -> None:
    given = trained("residual")
    names = [site.name for site in find_sites(given.network)]
    for network in (fused_by_torch(copy.deepcopy(given.network)), for_inference(given.network, stacked(given)[:2])):
        found = statistics_health(network, stacked(given))
        assert [(item.kind, item.layer, item.sick) for item in found] == [
            ("batch-norm-folded", name, False) for name in names
        ]
    (finding,) = condition_findings(found)
    assert "take the checkpoint from before folding" in finding.message
    sequence = trained("series").network
    sequence[3] = torch.nn.utils.fusion.fuse_conv_bn_eval(sequence[3], sequence[4])
    sequence[4] = nn.Identity()
    assert kinds(statistics_health(sequence)) == ["batch-norm-folded"]
    without = nn.Sequential(*(module for module in fused_by_torch(trained("residual").network).modules()
                              if isinstance(module, nn.Conv2d)))  # fmt: skip
    assert len(statistics_health(without)) == len(without)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v3_small", "alexnet", "squeezenet1_1", "vgg11", "shufflenet_v2_x0_5", "convnext_tiny"],
)
def test_fresh_networks_are_only_not_filled(name: str) -> None:
    from torchvision.models import get_model

    network = get_model(name, weights=None, num_classes=3)
    assert set(kinds(statistics_health(network))) <= {"statistics-never-filled"}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mobilenetv3_small_050", "nf_resnet26", "convnext_atto"])
def test_fresh_networks_of_timm_are_only_not_filled(name: str) -> None:
    timm = pytest.importorskip("timm")
    assert set(kinds(statistics_health(timm.create_model(name)))) <= {"statistics-never-filled"}


def test_what_is_found_is_data() -> None:
    """Finite numbers, so that JSON holds them; what is known of the calls may be given."""
    assert module_door is statistics_health
    given = trained("mobile")
    for number, site in enumerate(find_sites(given.network)):
        list(ILLNESSES.values())[number % len(ILLNESSES)].break_(site.module)
    x = stacked(given)
    found = statistics_health(given.network, x)
    assert found == statistics_health(given.network, x, seen=look(given.network, find_sites(given.network), x[:2]))
    for item in found:
        text = item.model_dump_json()
        assert LayerCondition.model_validate_json(text) == item
        json.loads(text, parse_constant=lambda constant: pytest.fail(constant))


@pytest.mark.parametrize("build", [convolutional, Tied, Mixed])
def test_a_healthy_network_needs_no_inputs(build: Callable[[], nn.Module]) -> None:
    """They are not even read."""
    network = warmed_up(build())
    seen = look(network, find_sites(network), torch.zeros(2, 1, 8, 8))

    def never() -> Any:
        raise AssertionError("the inputs were read")
        yield

    class Unread(list):  # type: ignore[type-arg]
        __iter__ = lambda self: never()  # noqa: E731

    assert not sick(statistics_health(network, Unread([1]), seen=seen))


class Casts(nn.Module):
    """A network that converts its input by itself, and so cannot be widened."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(4).bfloat16(), nn.Linear(4, 2).bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.norm(x.bfloat16()))
        return y


def test_a_network_that_cannot_be_widened_is_looked_at_as_it_is() -> None:
    network = Casts().eval()
    before = snapshot(network)
    assert sick(statistics_health(network, torch.randn(32, 4).bfloat16() * 9 + 5)) == [
        ("statistics-never-filled", "norm")
    ]
    assert_untouched(network, before)
