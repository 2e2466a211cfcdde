"""Which layers are recognised, as what, and what is said of the rest."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from calibrate.nn import (
    ExampleWeighedBatchNormAct,
    ExampleWeighedFrozenBatchNorm,
    ExampleWeighedFrozenBatchNormAct,
    ExampleWeighedGroupNorm,
    ExampleWeighedGroupNormAct,
)
from calibrate.surgery import find_sites, for_inference, is_batch_norm, passed_over, select, weigh_examples_
from tests.builders.networks import warmed_up


class RenamedFrozen(FrozenBatchNorm2d):
    """As detection code has it: another constructor, the same computation."""


class OtherFrozen(FrozenBatchNorm2d):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return super().forward(x).relu()


class OtherDefaults(nn.BatchNorm2d):
    """HRNet's, TF ports' and many others': eps and momentum, and how it is shown."""

    scale = 1.0

    def __init__(self, channels: int, **_: object) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.01)

    def extra_repr(self) -> str:
        return "as in TensorFlow"


class Twice(OtherDefaults):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.weight.data.fill_(0.5)


class BatchNormAct2d(nn.BatchNorm2d):
    """Named as timm's, and not timm's."""

    def forward(self, x):  # type: ignore[no-untyped-def]
        return super().forward(x).sin()


def obstacle(layer: nn.Module) -> str:
    (site,) = find_sites(layer)
    return site.obstacle


def test_other_subclasses_are_named_and_left() -> None:
    assert "it is a BatchNormAct2d, which is not proven to be batch normalisation" in obstacle(BatchNormAct2d(3))
    assert "a subclass that may do more" in obstacle(BatchNormAct2d(3, track_running_stats=False))


def test_a_subclass_that_activates_is_taken_with_its_activation() -> None:
    layer, x = warmed_up(OtherFrozen(3)), torch.randn(4, 3, 5, 5)
    assert obstacle(layer) == ""
    expected = layer(x)
    weighed = weigh_examples_(layer, find_sites(layer), 0.0)
    assert torch.equal(weighed(x), expected)
    weighed.alpha = 0.3  # type: ignore[assignment]
    assert (weighed(x) >= 0).all()


@pytest.mark.parametrize("kind", [OtherDefaults, Twice, type("Sync", (nn.SyncBatchNorm,), {})])
def test_a_subclass_with_other_defaults_is_torch_s_own_class_in_every_respect(kind: type[nn.Module]) -> None:
    layer = warmed_up(kind(3))
    model = nn.Sequential(nn.Conv2d(1, 3, 3), layer)
    x = torch.randn(5, 1, 6, 6)
    expected = model(x)
    (site,) = find_sites(model)
    assert (site.obstacle, is_batch_norm(layer)) == ("", True)
    assert len(list(for_inference(model, x).modules())) == 3  # folded away
    weighed = weigh_examples_(model, [site], 0.0)
    assert (weighed[1].eps, weighed[1].momentum) == (layer.eps, layer.momentum)
    assert torch.equal(weighed(x), expected)


def _with_a_hook() -> nn.Module:
    layer = OtherDefaults(3)
    layer.register_forward_hook(lambda _, __, y: 2 * y)
    return layer


def _with_a_buffer() -> nn.Module:
    layer = OtherDefaults(3)
    layer.register_buffer("share", torch.ones(3))
    return layer


@pytest.mark.parametrize("make", [_with_a_hook, _with_a_buffer])
def test_a_subclass_with_more_of_its_own_is_not(make: Callable[[], nn.Module]) -> None:
    assert not is_batch_norm(make())


def test_a_frozen_subclass_that_computes_the_same_is_taken() -> None:
    layer = RenamedFrozen(3)
    assert obstacle(layer) == ""
    assert type(weigh_examples_(layer, find_sites(layer), 0.1)) is ExampleWeighedFrozenBatchNorm


def test_timm_s_own_layers_are_recognised() -> None:
    layers = pytest.importorskip("timm.layers")
    for kind, weighed in (
        (layers.BatchNormAct2d, ExampleWeighedBatchNormAct),
        (layers.FrozenBatchNormAct2d, ExampleWeighedFrozenBatchNormAct),
    ):
        layer = kind(3)
        (site,) = find_sites(layer)
        assert (site.obstacle, site.channels) == ("", 3)
        assert type(weigh_examples_(layer, [site], 0.1)) is weighed

    class Own(layers.BatchNormAct2d):  # type: ignore[name-defined, misc]
        pass

    assert obstacle(Own(3)) == ""
    assert "no running statistics" in obstacle(layers.BatchNormAct2d(3, track_running_stats=False))


@pytest.mark.parametrize(
    ("kind", "weighed"),
    [
        ("GroupNorm", ExampleWeighedGroupNorm),
        ("GroupNorm1", ExampleWeighedGroupNorm),
        ("GroupNormAct", ExampleWeighedGroupNormAct),
    ],
)
def test_timm_s_group_norms_are_taken_and_compute_the_same_at_alpha_1(kind: str, weighed: type[nn.Module]) -> None:
    layer = warmed_up(getattr(pytest.importorskip("timm.layers"), kind)(32))
    (site,) = find_sites(layer)
    assert (site.obstacle, site.channels) == ("", 32)
    x = torch.randn(2, 32, 3, 3)
    expected = layer(x.clone())
    tuned = weigh_examples_(layer, [site], 1.0)
    assert type(tuned) is weighed
    assert torch.equal(tuned(x.clone()), expected)
    tuned.alpha = 0.5  # type: ignore[assignment]
    below = tuned(x.clone())
    assert not torch.equal(below, expected)
    assert (below >= 0).all() == (kind == "GroupNormAct")


def test_group_norm_is_taken_where_it_is_alone() -> None:
    plain, more = nn.GroupNorm(2, 4), nn.BatchNorm2d(4)
    assert obstacle(plain) == ""
    both = find_sites(nn.Sequential(plain, more, nn.GroupNorm(1, 4)))
    assert [site.name for site in select(both, ("*",))] == ["1"]
    assert [site.name for site in passed_over(both, ("*",))] == ["0", "2"]
    assert [site.name for site in select(both, ("0", "2"))] == ["0", "2"]
    assert passed_over(both, ("0", "2")) == passed_over(both, ("1",)) == ()
    alone = find_sites(nn.Sequential(plain, nn.BatchNorm2d(4, track_running_stats=False)))
    assert [site.name for site in select(alone, ("*",))] == ["0"]


def test_surgery_never_imports_timm() -> None:
    code = (
        "import sys; from torch import nn; from calibrate.surgery import find_sites; import calibrate.io;"
        "find_sites(nn.Sequential(nn.BatchNorm2d(2), type('Own', (nn.BatchNorm2d,), {})(2)));"
        "print([name for name in sys.modules if name.split('.')[0] == 'timm'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"


def test_layer_norm_and_instance_norm_are_no_sites() -> None:
    assert find_sites(nn.Sequential(nn.LayerNorm(3), nn.InstanceNorm2d(3), nn.Linear(3, 3))) == ()


def hooked(layer: nn.Module) -> None:
    layer.register_forward_hook(lambda _module, _inputs, output: output.tanh())


def hooked_before(layer: nn.Module) -> None:
    layer.register_forward_pre_hook(lambda _module, inputs: (inputs[0] * 2,))


@pytest.mark.parametrize("hook", [hooked, hooked_before])
def test_what_takes_the_place_of_a_layer_has_its_hooks(hook: Callable[[nn.Module], None]) -> None:
    network = warmed_up(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))).eval()
    plain = network(torch.ones(2, 3, 4, 4))
    hook(network[1])
    x = torch.randn(2, 3, 4, 4)
    expected = network(x)
    assert not torch.allclose(plain, network(torch.ones(2, 3, 4, 4)))
    weigh_examples_(network, find_sites(network), 0.0)
    assert torch.equal(network(x), expected)


def test_a_layer_whose_forward_was_replaced_must_prove_what_it_computes() -> None:
    network = warmed_up(nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3)))
    own = network[0].forward
    network[0].forward = lambda x: 2 * own(x)
    assert [bool(site.obstacle) for site in find_sites(network)] == [True, False]
