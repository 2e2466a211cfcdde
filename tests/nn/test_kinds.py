"""Laws that every kind of weighed layer keeps, over dtypes and shapes."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from calibrate.surgery import find_sites, weigh_examples_
from tests import reference
from tests.builders.networks import warmed_up

timm_layers = pytest.importorskip("timm.layers")

C = 3


def sync(**settings_: Any) -> nn.Module:
    return nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(C, **settings_))


def sync_act() -> nn.Module:
    return timm_layers.convert_sync_batchnorm(timm_layers.BatchNormAct2d(C, act_layer=nn.SiLU))


#: Each kind, the shapes that it takes after N and C, and what it does to what it has normalised.
KINDS: dict[str, tuple[Any, tuple[tuple[int, ...], ...], Any]] = {
    "1d": (lambda: nn.BatchNorm1d(C), ((), (1,), (5,)), None),
    "2d": (lambda: nn.BatchNorm2d(C), ((1, 1), (4, 3)), None),
    "3d": (lambda: nn.BatchNorm3d(C), ((1, 1, 1), (2, 3, 2)), None),
    "without affine": (lambda: nn.BatchNorm2d(C, affine=False), ((1, 1), (4, 3)), None),
    "sync": (sync, ((), (5,), (4, 3), (2, 3, 2)), None),
    "sync without affine": (lambda: sync(affine=False), ((4, 3),), None),
    "frozen": (lambda: FrozenBatchNorm2d(C, eps=1e-3), ((1, 1), (4, 3)), None),
    "timm": (lambda: timm_layers.BatchNormAct2d(C, eps=1e-3), ((1, 1), (4, 3)), lambda y: np.maximum(y, 0)),
    "timm sync": (sync_act, ((4, 3),), lambda y: y / (1 + np.exp(-y))),
    "timm frozen": (lambda: timm_layers.FrozenBatchNormAct2d(C), ((1, 1), (4, 3)), lambda y: np.maximum(y, 0)),
    "timm without act": (lambda: timm_layers.BatchNormAct2d(C, apply_act=False), ((4, 3),), None),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}

kinds = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.sampled_from(KINDS[kind][1]), st.integers(1, 4), st.integers(0, 99))
)


def layer_and_input(kind: str, positions: tuple[int, ...], n: int, seed: int, dtype: torch.dtype) -> tuple[Any, Tensor]:
    layer = warmed_up(KINDS[kind][0](), seed).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    return layer, (torch.randn(n, C, *positions, generator=generator, dtype=torch.float64) * 2 + 0.5).to(dtype)


def weighed(layer: nn.Module, alpha: float) -> Any:
    layer = copy.deepcopy(layer)
    return weigh_examples_(layer, find_sites(layer), alpha)


def expected(layer: Any, x: Tensor, alpha: float, then: Any) -> Tensor:
    one, zero = torch.ones(C), torch.zeros(C)
    weight, bias = (one, zero) if layer.weight is None else (layer.weight, layer.bias)
    tensors = (t.detach().double().numpy() for t in (layer.running_mean, layer.running_var, weight, bias))
    y = reference.example_weighed(x.double().numpy(), *tensors, layer.eps, float(np.float32(alpha)))
    return torch.from_numpy(y if then is None else then(y))


@given(case=kinds, dtype=st.sampled_from(list(TOLERANCE)))
@settings(max_examples=120, deadline=None)
def test_alpha_0_is_the_original_layer_bit_for_bit(case: Any, dtype: torch.dtype) -> None:
    layer, x = layer_and_input(*case, dtype)
    y = weighed(layer, 0.0)(x.clone())
    assert y.dtype == dtype
    assert torch.equal(y, layer(x.clone()))


@given(case=kinds, dtype=st.sampled_from(list(TOLERANCE)), alpha=st.floats(0.001, 0.95))
@settings(max_examples=150, deadline=None)
def test_alpha_above_0_is_the_formula_then_what_the_layer_does(case: Any, dtype: torch.dtype, alpha: float) -> None:
    layer, x = layer_and_input(*case, dtype)
    alpha = float(np.float32(alpha))
    y = weighed(layer, alpha)(x.clone())
    assert y.dtype == dtype
    torch.testing.assert_close(
        y.double(), expected(layer, x, alpha, KINDS[case[0]][2]), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@given(case=kinds, alpha=st.floats(0.001, 1))
@settings(max_examples=60, deadline=None)
def test_the_state_dict_is_the_original_s_and_alpha_and_round_trips(case: Any, alpha: float) -> None:
    layer, x = layer_and_input(*case, torch.float32)
    tuned = weighed(layer, alpha)
    assert tuned.state_dict().keys() == layer.state_dict().keys() | {"alpha"}
    assert [name for name, _ in tuned.named_parameters()] == [name for name, _ in layer.named_parameters()]
    other = weighed(KINDS[case[0]][0]().eval(), 0.0)
    other.load_state_dict(tuned.state_dict())
    assert torch.equal(other(x.clone()), tuned(x.clone()))
    other.load_state_dict(layer.state_dict())  # which says nothing of α
    assert torch.equal(other(x.clone()), tuned(x.clone()))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("training", [True, False])
def test_modes_and_ties_are_kept(kind: str, training: bool) -> None:
    layer = warmed_up(KINDS[kind][0]()).train(training)
    for child in layer.children():
        child.train(not training)
    network = nn.ModuleDict({"a": layer, "b": nn.Sequential(layer)})
    modes = {name: module.training for name, module in network.named_modules(remove_duplicate=False)}
    weigh_examples_(network, find_sites(network), 0.2)
    assert network["a"] is network["b"][0]  # type: ignore[index]
    assert network["a"] is not layer
    assert {name: module.training for name, module in network.named_modules(remove_duplicate=False)} == modes


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_alpha_keeps_its_precision_in_a_converted_network(kind: str) -> None:
    tuned = weighed(warmed_up(KINDS[kind][0]()), 0.1)
    for convert in (tuned.half, tuned.bfloat16, tuned.float):
        convert()
        assert tuned.running_mean.dtype == (tuned.weight if tuned.weight is not None else tuned.running_mean).dtype
        assert torch.equal(tuned.alpha, torch.tensor(0.1))
    tuned.double()
    assert tuned.alpha.dtype == torch.float64


def test_a_frozen_layer_stays_frozen() -> None:
    tuned = weighed(warmed_up(FrozenBatchNorm2d(C)), 0.2).train()
    before = {name: tensor.clone() for name, tensor in tuned.state_dict().items()}
    x = torch.randn(4, C, 5, 5, requires_grad=True)
    y = tuned(x)
    assert torch.equal(y, tuned.eval()(x))
    y.sum().backward()
    assert x.grad is not None
    assert list(tuned.parameters()) == []
    assert before.keys() == {"weight", "bias", "running_mean", "running_var", "alpha"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in tuned.state_dict().items())


def test_a_batch_norm_checkpoint_loads_into_a_frozen_layer() -> None:
    batch_norm = warmed_up(nn.BatchNorm2d(C))
    tuned = weighed(FrozenBatchNorm2d(C), 0.3)
    tuned.load_state_dict(batch_norm.state_dict())
    x = torch.randn(2, C, 4, 4)
    torch.testing.assert_close(tuned(x).double(), expected(batch_norm, x, 0.3, None), rtol=1e-5, atol=1e-5)


def test_a_frozen_layer_takes_images_only() -> None:
    with pytest.raises(ValueError, match=r"3 dimension\(s\); give \(N, C, H, W\)"):
        weighed(FrozenBatchNorm2d(C), 0.1)(torch.zeros(2, C, 4))


def test_dropout_between_normalisation_and_activation_stays() -> None:
    layer = warmed_up(timm_layers.BatchNormAct2d(C, drop_layer=nn.Dropout, act_layer=nn.PReLU)).train()
    tuned = weighed(layer, 0.0)
    assert set(tuned.state_dict()) == {*layer.state_dict(), "alpha"}
    x = torch.randn(4, C, 6, 6)
    torch.manual_seed(1)
    y = layer(x)
    torch.manual_seed(1)
    assert torch.equal(tuned(x), y)
    assert torch.equal(tuned.running_mean, layer.running_mean)
    assert float((y == 0).float().mean()) > 0.3
