"""Parameter groups: every trainable parameter once, told by the type of its module."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import nn as layers
from calibrate.errors import UsageError
from calibrate.finetune import find_head, parameter_groups
from tests.builders.networks import Mixed, Tied, convolutional, grouped, warmed_up


def zoo() -> nn.Sequential:
    """One of each kind of module that has parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        layers.BatchInstanceNorm(4),
        nn.PReLU(4),
        layers.RepresentativeBatchNorm(4),
        layers.ScaledAffineBatchNorm(4, "A2"),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.LayerNorm(4),
        nn.Linear(4, 4, bias=False),
        nn.LSTM(4, 4),
        nn.MultiheadAttention(4, 2),
        nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)),
    )


#: The group of each parameter of the zoo, with the rate and the decay that ``lr`` 1 and ``weight_decay`` 0.5 make.
WEIGHTS, BIASES = ("weights", 1.0, 0.5), ("biases", 1.0, 0.0)
GAMMA, BETA, OTHERS, GATES = ("gamma", 0.01, 0.0), ("beta", 1.0, 0.0), ("others", 1.0, 0.0), ("gates", 10.0, 0.0)
EXPECTED = {
    "0.weight": WEIGHTS,
    "0.bias": BIASES,
    "1.weight": GAMMA,
    "1.bias": BETA,
    "1.gate": GATES,
    "2.weight": WEIGHTS,
    "3.weight": GAMMA,
    "3.bias": BETA,
    "3.center_weight": OTHERS,
    "3.scale_weight": OTHERS,
    "3.scale_bias": OTHERS,
    "4.weight": GAMMA,
    "4.bias": BETA,
    "4.inner_weight": OTHERS,
    "5.weight": GAMMA,
    "5.bias": BETA,
    "7.weight": WEIGHTS,
    "7.bias": BIASES,
    "8.weight": WEIGHTS,
    "9.weight_ih_l0": WEIGHTS,
    "9.weight_hh_l0": WEIGHTS,
    "9.bias_ih_l0": BIASES,
    "9.bias_hh_l0": BIASES,
    "10.in_proj_weight": WEIGHTS,
    "10.in_proj_bias": BIASES,
    "10.out_proj.weight": WEIGHTS,
    "10.out_proj.bias": BIASES,
    "11.0.weight": ("head gamma", 0.04, 0.0),
    "11.0.bias": ("head beta", 4.0, 0.0),
    "11.1.weight": ("head weights", 4.0, 0.5),
    "11.1.bias": ("head biases", 4.0, 0.0),
}


def grouped_by_name(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str, tuple[str, float, float]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["name"], group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }


def test_each_parameter_is_in_the_group_of_its_module_s_type() -> None:
    model = zoo()
    groups = parameter_groups(model, lr=1.0, weight_decay=0.5, head=["11"], head_lr_factor=4.0, gamma_lr_divisor=100)
    assert grouped_by_name(model, groups) == EXPECTED
    assert len({group["name"] for group in groups}) == len(groups)


@pytest.mark.parametrize(
    ("asked", "decaying"),
    [
        ({"decay_norm": True}, {"weights", "gamma", "beta", "others"}),
        ({"decay_bias": True}, {"weights", "biases"}),
        ({}, {"weights"}),
    ],
    ids=["norm", "bias", "neither"],
)
def test_decay_is_for_weights_and_what_is_asked_for(asked: Any, decaying: set[str]) -> None:
    groups = parameter_groups(zoo(), lr=1.0, weight_decay=0.5, **asked)
    assert {group["name"] for group in groups if group["weight_decay"]} == decaying


@pytest.mark.parametrize("build", [zoo, convolutional, grouped, Tied, Mixed, lambda: nn.Linear(2, 3)])
def test_every_trainable_parameter_is_there_once_and_no_other(build: Any) -> None:
    model = build()
    first = next(model.parameters()).requires_grad_(False)
    groups = parameter_groups(model, lr=0.1, head=[find_head(model)])
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters() if p is not first)


@pytest.mark.parametrize("head", [["head"], ["logits"], ["head", "logits"]])
def test_a_head_with_two_names_is_found_by_either(head: list[str]) -> None:
    model = Tied()
    names = grouped_by_name(model, parameter_groups(model, lr=1.0, head=head))
    assert {name: group[0] for name, group in names.items() if "head" in group[0]} == {
        "head.weight": "head weights",
        "head.bias": "head biases",
    }


def test_a_weight_shared_by_the_backbone_and_the_head_is_the_head_s() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    names = [(group["name"], len(group["params"])) for group in parameter_groups(model, lr=1.0, head=["2"])]
    assert names == [("biases", 1), ("head weights", 1), ("head biases", 1)]


def test_a_parameter_of_two_kinds_is_what_it_is_found_as_first() -> None:
    norm, rectifier = nn.BatchNorm1d(3), nn.PReLU(3)
    rectifier.weight = norm.weight
    for model, name in ((nn.Sequential(norm, rectifier), "gamma"), (nn.Sequential(rectifier, norm), "weights")):
        assert [group["name"] for group in parameter_groups(model, lr=1.0)] == [name, "beta"]


def test_a_step_moves_each_parameter_by_its_own_rate_and_decay() -> None:
    model = warmed_up(zoo().double())
    groups = parameter_groups(model, lr=0.3, weight_decay=0.7, head=["11"], gamma_lr_divisor=8, decay_norm=True)
    names = grouped_by_name(model, groups)
    before = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    torch.optim.SGD(groups).step()
    for name, parameter in model.named_parameters():
        role = names[name][0].removeprefix("head ")
        rate = 0.3 * {"gamma": 1 / 8, "gates": 10}.get(role, 1) * (10 if name.startswith("11.") else 1)
        decay = 0.0 if role in ("biases", "gates") else 0.7
        assert parameter.grad is not None
        expected = before[name] - rate * (parameter.grad.numpy() + decay * before[name])
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("setting", [{"head_lr_factor": 0.0}, {"gamma_lr_divisor": -1.0}], ids=str)
def test_a_rate_that_cannot_be_is_refused(setting: Any) -> None:
    with pytest.raises(UsageError, match=r"is (0|-1)\.0; .* above 0"):
        parameter_groups(convolutional(), lr=0.1, **setting)


def test_an_unknown_head_is_named_with_what_is_close() -> None:
    with pytest.raises(UsageError, match="no module 'hea', but 'head'"):
        parameter_groups(Tied(), lr=0.1, head=["hea"])
