"""Penalties on parameters: L2-SP, and the decay of γ and β."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import nn as layers
from calibrate.errors import ModelError
from calibrate.finetune import L2SP, AffineDecay, Penalty
from calibrate.surgery import Replacement, place_
from tests.builders.networks import Mixed, Tied, convolutional, grouped, move_, warmed_up
from tests.finetune import reference


@pytest.mark.parametrize(("build", "head"), [(convolutional, "8"), (grouped, "8"), (Tied, "logits"), (Mixed, "head")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_l2_sp_is_half_the_squared_way_from_the_start_and_half_the_squared_head(
    build: Any, head: str, dtype: torch.dtype
) -> None:
    model = warmed_up(build()).to(dtype)
    penalty = L2SP(model, [head], backbone_strength=0.3, head_strength=0.7)
    own = list(model.get_submodule(head).parameters())
    rest = [p for p in model.parameters() if all(p is not mine for mine in own)]
    start = reference.values(rest)
    move_(model)
    moved = sum(((now - then) ** 2).sum() for now, then in zip(reference.values(rest), start, strict=True))
    expected = 0.3 / 2 * moved + 0.7 / 2 * sum((w**2).sum() for w in reference.values(own))
    assert penalty().item() == pytest.approx(expected, rel=1e-12 if dtype == torch.float64 else 1e-5)


def test_l2_sp_remembers_the_moment_it_was_made() -> None:
    model = warmed_up(convolutional().double())
    first = L2SP(model, ["8"], head_strength=0.0)
    move_(model)
    second = L2SP(model, ["8"], head_strength=0.0)
    assert second().item() == 0
    assert first().item() > 0


@pytest.mark.parametrize("gamma_toward", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_affine_decay_is_of_gamma_and_beta_alone(gamma_toward: Any, dtype: torch.dtype) -> None:
    model = nn.Sequential(
        nn.Linear(4, 4),
        nn.LayerNorm(4),
        layers.BatchInstanceNorm(4),
        nn.PReLU(4),
        nn.GroupNorm(2, 4),
        nn.BatchNorm1d(4),
    )
    warmed_up(model).to(dtype)
    norms = [model[place] for place in (2, 4, 5)]
    gamma, beta = (reference.values([getattr(norm, name) for norm in norms]) for name in ("weight", "bias"))
    expected = 0.6 / 2 * sum((b**2).sum() + ((g - gamma_toward) ** 2).sum() for g, b in zip(gamma, beta, strict=True))
    penalty = AffineDecay(model, 0.6, gamma_toward)
    assert penalty().item() == pytest.approx(expected, rel=1e-12 if dtype == torch.float64 else 1e-5)


def test_a_tied_layer_decays_once() -> None:
    model = warmed_up(Tied())
    expected = 0.5 * (model.norm.weight.square().sum() + model.norm.bias.square().sum())
    assert AffineDecay(model, 1.0)().item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_network_without_gamma_and_beta_is_refused() -> None:
    for model in (nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False), nn.LayerNorm(3)):
        with pytest.raises(ModelError, match="nothing for the decay of γ and β to act on; leave it out"):
            AffineDecay(model, 0.1)


@pytest.mark.parametrize(
    "make",
    [lambda model: L2SP(model, ["8"], 0.3, 0.7), lambda model: AffineDecay(model, 0.3, 1)],
    ids=["l2_sp", "decay"],
)
def test_gradients_are_those_of_the_penalty(make: Any) -> None:
    model = warmed_up(convolutional().double())
    penalty: Penalty = make(model)
    move_(model)
    with penalty.watching():
        reference.assert_gradient(model, penalty)


@pytest.mark.parametrize("layer", ["StochNorm", "SwitchedBatchNorm", "BatchInstanceNorm", "ExampleWeighedBatchNorm"])
def test_l2_sp_goes_with_any_layer(layer: str) -> None:
    """One step at rate 1 from somewhere else: the way back is strength · (w − w₀) on each parameter of the backbone."""
    model = warmed_up(convolutional().double())
    place_(model, dict.fromkeys(("1", "4"), Replacement(layer)))
    start = copy.deepcopy(dict(model.named_parameters()))
    penalty = L2SP(model, ["8"], 0.25, 0.5)
    move_(model)
    here = copy.deepcopy(dict(model.named_parameters()))
    penalty().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    for name, parameter in model.named_parameters():
        goal, strength = (torch.zeros(()), 0.5) if name.startswith("8") else (start[name], 0.25)
        expected = (here[name] - strength * (here[name] - goal)).detach()
        np.testing.assert_allclose(parameter.detach().numpy(), expected.numpy(), rtol=1e-12, atol=1e-12, err_msg=name)
