"""Freezing: what is frozen does not move by a bit under ``train()``, each switch on its own; and all is given back."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate import nn as layers
from calibrate.errors import ModelError, UsageError
from calibrate.finetune import find_head, freeze_, freeze_norms_, frozen, parameter_groups
from tests.builders.networks import Mixed, Tied, convolutional, grouped, warmed_up

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
SWITCHES = [
    {"affine": affine, "statistics": statistics, "normalise": normalise}
    for affine, statistics, normalise in itertools.product([True, False], [True, False], ["batch", "running"])
]


def train_(model: nn.Module, steps: int = 2) -> None:
    """Under ``train()``, with weight decay and momentum, which move whatever has a gradient."""
    model.train()
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(
        parameter_groups(model, lr=0.1, weight_decay=0.1, decay_norm=True, decay_bias=True), momentum=0.9
    )
    dtype = next(model.parameters()).dtype
    for _ in range(steps):
        x = torch.randn(8, 1, 6, 6, generator=generator, dtype=torch.float64).to(dtype) + 1
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def moved(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.parametrize("build", [convolutional, Tied])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_switch_freezes_its_own_part_under_train(build: Any, switches: Any, dtype: torch.dtype) -> None:
    model = warmed_up(build()).to(dtype)
    norms = [name for name, module in model.named_modules(remove_duplicate=False) if isinstance(module, nn.BatchNorm2d)]
    before = snapshot(model)
    train_(freeze_norms_(model, **switches))
    changed = moved(model, before)
    for norm in norms:
        assert all((f"{norm}.{name}" in changed) == switches["affine"] for name in ("weight", "bias"))
        assert all((f"{norm}.{name}" in changed) == switches["statistics"] for name in STATISTICS)
    assert {name for name in changed if not name.startswith(tuple(norms))} == {
        name for name in before if not name.startswith(tuple(norms))
    }


@pytest.mark.parametrize("statistics", [True, False])
def test_what_normalises_is_what_was_asked_for(statistics: bool) -> None:
    model = warmed_up(convolutional())
    by_running = model(x := torch.randn(8, 1, 6, 6))
    for normalise, like_inference in (("running", True), ("batch", False)):
        switched = freeze_norms_(copy.deepcopy(model), statistics=statistics, normalise=normalise).train()
        assert torch.allclose(switched(x), by_running, rtol=1e-6, atol=1e-6) == like_inference


def test_requires_grad_alone_does_not_freeze_batch_norm() -> None:
    """The trap that the switches are for."""
    model = warmed_up(convolutional())
    before = snapshot(model)
    freeze_(model, "head", ["8"])
    train_(model)
    assert {name.split(".")[1] for name in moved(model, before) if name[0] in "14"} == set(STATISTICS)


@pytest.mark.parametrize(
    ("trainable", "learning"),
    [
        ("all", {"0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias", "8.weight", "8.bias"}),
        ("head", {"8.weight", "8.bias"}),
        ("head_and_norms", {"1.weight", "1.bias", "4.weight", "4.bias", "8.weight", "8.bias"}),
    ],
)
@pytest.mark.parametrize("build", [convolutional, grouped])
def test_what_learns_is_what_was_named(trainable: Any, learning: set[str], build: Any) -> None:
    model = build().requires_grad_(False)
    freeze_(model, trainable, ["8"])
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == learning


def test_a_network_without_normalisation_has_nothing_to_freeze() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    before = snapshot(model)
    with frozen(model, "head_and_norms", ["1"], affine=False, statistics=False, normalise="running") as learner:
        train_(learner)
    assert moved(model, before) == set(before)


def test_the_norms_of_the_head_learn_with_it() -> None:
    model = warmed_up(
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Sequential(nn.BatchNorm1d(36), nn.Linear(36, 2)))
    )
    before = snapshot(model)
    with frozen(model, "head", ["2"], affine=False, statistics=False, normalise="running") as learner:
        train_(learner)
    assert moved(model, before) == {name for name in before if name.startswith("2.")}


def test_a_phase_gives_back_layers_modes_and_what_learned_also_after_an_exception() -> None:
    model = warmed_up(Tied())
    model.norm = model.again["norm"] = layers.StochNorm.from_batch_norm(model.norm, p=0.25)
    model.first.weight.requires_grad_(False)
    learning = [parameter.requires_grad for parameter in model.parameters()]
    modules, keys = list(model.modules()), list(model.state_dict())
    parameters = list(model.parameters())
    statistics = model.norm.running_mean.clone()

    def interrupted() -> None:
        with frozen(model, "head", [find_head(model)], affine=False, normalise="running") as learner:
            assert type(model.norm) is type(model.again["norm"]) is layers.SwitchedBatchNorm
            assert list(model.state_dict()) == keys
            train_(learner)
            statistics.copy_(model.norm.running_mean)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(now is then for now, then in zip(model.modules(), modules, strict=True))
    assert all(now is then for now, then in zip(model.parameters(), parameters, strict=True))
    assert [parameter.requires_grad for parameter in model.parameters()] == learning
    assert model.norm.training
    assert torch.equal(model.norm.running_mean, statistics)


def test_a_phase_that_cannot_begin_leaves_the_network_as_it_was() -> None:
    model = Mixed()
    modules = list(model.modules())
    with (
        pytest.raises(ModelError, match=r"act is a NormAct, .* cannot be frozen"),
        frozen(model, "head", ["head"], statistics=False),
    ):
        pass
    assert all(now is then for now, then in zip(model.modules(), modules, strict=True))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("trainable", "head", "message"),
    [("head", [], "no module is named as the head"), ("heads", ["8"], "'heads'; choose one of 'all', 'head'")],
)
def test_a_phase_in_which_nothing_could_learn_is_refused(trainable: Any, head: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        freeze_(convolutional(), trainable, head)
