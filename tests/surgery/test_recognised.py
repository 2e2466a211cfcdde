"""Batch normalisation of a network's own class: proven by its output and tuned like torch's, or named with why not."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate import open_model, reestimate, retrofit, statistics_health
from calibrate.nn import ExampleWeighedBatchNorm
from calibrate.surgery import eps_of, find_sites, for_inference, weigh_examples_
from calibrate.surgery.recognised import Formula, recognise
from tests.builders.networks import warmed_up, with_norm
from tests.builders.runs import messages


class Held(nn.Module):
    """Holds what FrozenBatchNorm of DETR and detectron2 holds, as buffers."""

    names: tuple[str, ...] = ("weight", "bias", "running_mean", "running_var")

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in self.names:
            self.register_buffer(name, torch.full((channels,), float(name in ("weight", "running_var"))))

    def maps(self) -> list[Tensor]:
        return [getattr(self, name).view(1, -1, 1, 1) for name in self.names]


class Detr(Held):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = self.maps()
        scale = weight * (var + 1e-5).rsqrt()
        return x * scale + (bias - mean * scale)


class Detectron(Held):
    """Keeps eps as an attribute, and is called by keyword."""

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__(channels)
        self.num_features, self.eps = channels, eps

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        state = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(input, *state, training=False, eps=self.eps)  # type: ignore[arg-type]


class ABN(nn.Module):
    """As inplace_abn's, with parameters, and a function of the name of an activation."""

    def __init__(self, channels: int, activation: str = "leaky_relu", slope: float = 0.01) -> None:
        super().__init__()
        self.activation, self.slope = activation, slope
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training)
        if self.activation == "leaky_relu":
            return F.leaky_relu(x, self.slope, inplace=True)
        return {"elu": F.elu, "silu": F.silu, "relu6": F.relu6, "identity": lambda y: y}[self.activation](x)


class WithItsAct(Detr):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Widened(Held):
    """Computes in float32, whatever comes in, and has no γ and β."""

    names = ("running_mean", "running_var")

    def forward(self, x: Tensor) -> Tensor:
        mean, var = (value.float() for value in self.maps())
        return ((x.float() - mean) / (var + 1.5e-4).sqrt()).to(x.dtype)


class AnyShape(nn.modules.batchnorm._BatchNorm):
    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        return


PROVEN: dict[str, tuple[Callable[[int], nn.Module], float, str]] = {
    "DETR": (Detr, 1e-5, ""),
    "detectron2": (Detectron, 1e-3, ""),
    "ABN": (ABN, 1e-5, "LeakyReLU"),
    "ABN, elu": (lambda n: ABN(n, "elu"), 1e-5, "ELU"),
    "ABN, silu": (lambda n: ABN(n, "silu"), 1e-5, "SiLU"),
    "ABN, relu6": (lambda n: ABN(n, "relu6"), 1e-5, "ReLU6"),
    "ABN, identity": (lambda n: ABN(n, "identity"), 1e-5, ""),
    "its own module": (WithItsAct, 1e-5, "act"),
    "float32 inside": (Widened, 1.5e-4, ""),
    "no check of the input": (AnyShape, 1e-5, ""),
}


@pytest.fixture(params=PROVEN)
def proven(request: pytest.FixtureRequest) -> tuple[Callable[[int], nn.Module], float, str]:
    return PROVEN[request.param]


def act_of(layer: Any, name: str, z: Tensor) -> Tensor:
    if name == "act":
        return layer.act(z)
    made = {"": nn.Identity(), "LeakyReLU": nn.LeakyReLU(0.01), "ELU": nn.ELU(), "SiLU": nn.SiLU(), "ReLU6": nn.ReLU6()}
    return made[name](z)


def test_the_formula_is_found(proven: tuple[Callable[[int], nn.Module], float, str]) -> None:
    make, eps, act = proven
    for channels in (1, 3, 8):
        found = recognise(make(channels))
        assert isinstance(found, Formula)
        assert found.eps == pytest.approx(eps, rel=1e-3)
        assert (type(found.act).__name__ if isinstance(found.act, nn.Module) else found.act or "") == act


def test_it_is_weighed_as_torch_s_layer_and_keeps_its_state(
    proven: tuple[Callable[[int], nn.Module], float, str],
) -> None:
    make, eps, act = proven
    layer: Any = warmed_up(make(4))
    x = torch.randn(5, 4, 6, 6)
    before, expected = list(layer.state_dict()), layer(x.clone())
    weighed: Any = weigh_examples_(layer, find_sites(layer), 0.0)
    assert torch.equal(weighed(x.clone()), expected)
    assert set(weighed.state_dict()) == {*before, "alpha"}
    assert weighed.running_mean is layer.running_mean
    weighed.alpha = 0.3
    own = ExampleWeighedBatchNorm(4, 0.3, eps=eps).eval()
    affine = {name: getattr(layer, name, None) for name in ("weight", "bias")}
    state = {"running_mean": layer.running_mean, "running_var": layer.running_var}
    ones = {"weight": torch.ones(4), "bias": torch.zeros(4)}
    own.load_state_dict({**state, **{name: ones[name] if value is None else value for name, value in affine.items()}})
    torch.testing.assert_close(weighed(x.clone()), act_of(layer, act, own(x)), rtol=1e-5, atol=1e-5)
    for other in (copy.deepcopy(weighed), pickle.loads(pickle.dumps(weighed))):
        assert torch.equal(other(x.clone()), weighed(x.clone()))
        other.running_mean.add_(1)
        assert not torch.equal(other(x.clone()), weighed(x.clone()))


def test_a_network_of_it_is_re_estimated_folded_tuned_and_opened_again(
    proven: tuple[Callable[[int], nn.Module], float, str], tmp_path: Any
) -> None:
    make, *_ = proven
    net: Any = warmed_up(with_norm(make))
    x = torch.randn(40, 1, 8, 8)
    tuned: Any = reestimate(net, [x])
    seen = net[0].double()(x.double()).detach().numpy()
    np.testing.assert_allclose(tuned[1].running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tuned[1].running_var, seen.var((0, 2, 3)), rtol=1e-4)
    net = warmed_up(with_norm(make))
    quick = for_inference(net, x)
    assert not any(hasattr(module, "running_mean") for module in quick.modules())
    torch.testing.assert_close(quick(x), net(x).detach(), rtol=1e-4, atol=1e-4)
    data = [(one, place % 3) for place, one in enumerate(x)]
    outcome = retrofit(net, [{"kind": "set_alpha", "alpha": 0.2}, {"kind": "temperature"}], data=data)
    assert [site.alpha for site in outcome.summary.changes.sites] == [0.2, 0.2]
    outcome.save(tmp_path, formats=["safetensors"])
    again = open_model(tmp_path / "tuned.safetensors", model=with_norm(make))
    assert torch.equal(again.model(x), outcome.model(x))


class Deviation(Held):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = self.maps()
        return (x - mean) / (var + 1e-5) * weight + bias


class OutsideTheRoot(Held):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = self.maps()
        return (x - mean) / (var.sqrt() + 1e-5) * weight + bias


class BiasFirst(Held):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = self.maps()
        return ((x - mean) / (var + 1e-5).sqrt() + bias) * weight


class OnePlus(Held):
    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = self.maps()
        return (x - mean) / (var + 1e-5).sqrt() * (1 + weight) + bias


class ByBatch(Held):
    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)  # type: ignore[arg-type]


class ByExample(Detr):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * y.mean((2, 3), keepdim=True).sigmoid()


class Remembers(Detr):
    scale: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            self.scale = self.maps()[0] * (self.maps()[3] + 1e-5).rsqrt()
        return (x - self.maps()[2]) * self.scale + self.maps()[1]


class Shaped(Held):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.running_mean = torch.zeros(1, channels, 1, 1)
        self.running_var = torch.ones(1, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) / (self.running_var + 1e-5).sqrt()


class Fails(Detr):
    def forward(self, x: Tensor) -> Tensor:
        raise SystemError("not today")


class Random(Detr):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn(())


NOT_PROVEN = {
    Deviation: "its running_var is a standard deviation",
    OutsideTheRoot: "outside the root",
    BiasFirst: "its bias is added before the scale",
    OnePlus: "1 + weight",
    ByBatch: "statistics of the batch in evaluation mode too",
    ByExample: "depends on the others of the example",
    Remembers: "does not follow its running_var",
    Shaped: "(1, 4, 1, 1)",
    Fails: "not today",
    Random: "something else the second time",
}


@pytest.mark.parametrize(("kind", "why"), NOT_PROVEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_batch_normalisation_is_named_with_the_reason(kind: type[nn.Module], why: str) -> None:
    layer = kind(4)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    (site,) = find_sites(layer)
    assert site.obstacle.startswith(f"it is a {kind.__name__}, which is not proven")
    assert why in site.obstacle
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())


def test_a_network_of_unproven_layers_is_left_alone_and_said() -> None:
    net = warmed_up(with_norm(Deviation))
    data = [(torch.randn(1, 8, 8), place % 3) for place in range(40)]
    outcome = retrofit(net, [{"kind": "temperature"}], data=data)
    (said,) = messages(outcome.summary, "site-skipped")
    assert "Deviation" in said
    with pytest.raises(Exception, match="left alone; the first, 1, because it is a Deviation"):
        retrofit(net, [{"kind": "reestimate"}], data=data)


def test_health_names_layers_of_own_classes_also_without_affine() -> None:
    found = {item.layer: item.kind for item in statistics_health(with_norm(Widened).eval())}
    assert found == {"1": "statistics-never-filled", "4": "statistics-never-filled"}
    net: Any = with_norm(Deviation).eval()
    net[1].running_var.fill_(torch.nan)
    assert {item.layer: item.kind for item in statistics_health(net)}["1"] == "statistics-not-finite"


def test_a_hook_of_its_own_is_no_part_of_the_proof() -> None:
    layer = Detr(3)
    layer.register_forward_hook(lambda _, __, y: 2 * y)
    assert "hooks of its own" in find_sites(layer)[0].obstacle


class Scaled(Detr):
    """Keeps a number in a collection, and a factor in a buffer of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.settings = {"scales": [1.0]}
        self.register_buffer("factor", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.settings["scales"][0] * super().forward(x)


def set_eps_(layer: Any) -> None:
    layer.eps = 0.1


def set_slope_(layer: Any) -> None:
    layer.slope = 0.3


def double_by_a_hook_(layer: Any) -> None:
    layer.register_forward_hook(lambda _, __, y: 2 * y)


def double_a_factor_(layer: Any) -> None:
    layer.factor.mul_(2)


def double_a_number_(layer: Any) -> None:
    layer.settings["scales"][0] = 2.0


def replace_its_act_(layer: Any) -> None:
    layer.act = nn.BatchNorm2d(3, track_running_stats=False)


def replace_its_forward_(layer: Any) -> None:
    layer.forward = torch.abs


CHANGES: list[tuple[Callable[[int], nn.Module], Callable[[Any], None]]] = [
    (Detectron, set_eps_),
    (AnyShape, set_eps_),
    (ABN, set_slope_),
    (Detr, double_by_a_hook_),
    (WithItsAct, lambda layer: double_by_a_hook_(layer.act)),
    (Scaled, double_a_factor_),
    (Scaled, double_a_number_),
    (WithItsAct, replace_its_act_),
    (Detr, replace_its_forward_),
]


@pytest.mark.parametrize(("make", "change_"), CHANGES)
def test_a_layer_that_was_changed_is_recognised_anew(
    make: Callable[[int], nn.Module], change_: Callable[[Any], None]
) -> None:
    layer = make(3)
    before = recognise(layer)
    change_(layer)
    new = make(3)
    change_(new)
    after, wanted = recognise(layer), recognise(new)
    if isinstance(wanted, Formula):
        assert isinstance(after, Formula)
        assert (after.eps, str(after.act)) == (wanted.eps, str(wanted.act))
        assert after is not before
    else:
        assert after == wanted != before


def test_a_layer_is_proven_once_whatever_it_learns() -> None:
    layer: Any = WithItsAct(3)
    found = recognise(layer)
    for tensor in (layer.running_mean, layer.running_var, layer.weight):
        tensor.add_(1)
    assert recognise(layer) is found
    assert recognise(copy.deepcopy(Detectron(3))) is recognise(Detectron(3))


def test_eps_and_obstacle_follow_a_change() -> None:
    layer: Any = Detectron(3)
    assert (eps_of(layer), find_sites(layer)[0].obstacle) == (1e-3, "")
    layer.eps = 0.1
    assert eps_of(layer) == 0.1
    hook = layer.register_forward_hook(lambda _, __, y: 2 * y)
    assert "hooks of its own" in find_sites(layer)[0].obstacle
    hook.remove()
    assert find_sites(layer)[0].obstacle == ""
