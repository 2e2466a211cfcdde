"""Placements as documents: each step does what its function does, and a broken one is explained."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torchvision
from torch import nn

from calibrate.errors import AfternormError, RecipeError, UsageError
from calibrate.recipe import Placement, PlacementStep, Recipe, parse, read
from calibrate.recipe.placement import GNBN, XBN, FourThings, IBNa, IBNb, Initialize, PrependInputBatchNorm
from calibrate.surgery import (
    PLACEMENT_STEPS,
    Replacement,
    batch_norms,
    carry_out_placement,
    every_odd,
    four_things,
    gnbn,
    ibn_a,
    ibn_b_,
    in_blocks,
    initialize_,
    place_,
    prepend_input_batch_norm_,
    stem,
    xbn,
)

GHOST = {"layer": "GhostBatchNorm", "settings": {"ghost_size": 4}}


def resnet() -> nn.Module:
    torch.manual_seed(1)
    return torchvision.models.resnet18(num_classes=3)


def all_of(names: Any) -> dict[str, Replacement]:
    return dict.fromkeys(names, Replacement("GhostBatchNorm", {"ghost_size": 4}))


STEPS: list[tuple[dict[str, Any], Callable[[nn.Module], nn.Module]]] = [
    ({"kind": "place", **GHOST}, lambda m: place_(m, all_of(batch_norms(m)))),
    ({"kind": "place", **GHOST, "sites": ["layer4.*"]}, lambda m: place_(m, all_of(batch_norms(m, ["layer4.*"])))),
    (
        {"kind": "place_in_blocks", **GHOST, "position": "last", "every": 2},
        lambda m: place_(m, all_of(in_blocks(m, "last", 2))),
    ),
    ({"kind": "place_every_odd", **GHOST}, lambda m: place_(m, all_of(every_odd(m)))),
    ({"kind": "place_in_stem", **GHOST}, lambda m: place_(m, all_of(stem(m)))),
    (
        {"kind": "xbn", "position": "P3", "every": 4, "num_groups": 8, "with_stem": False},
        lambda m: place_(m, xbn(m, "P3", 4, num_groups=8, with_stem=False)),
    ),
    ({"kind": "xbn", "layer": "InstanceNorm"}, lambda m: place_(m, xbn(m, layer="InstanceNorm"))),
    ({"kind": "gnbn", "num_groups": 8}, lambda m: place_(m, gnbn(m, 8))),
    ({"kind": "ibn_a"}, lambda m: place_(m, ibn_a(m))),
    ({"kind": "ibn_b"}, ibn_b_),
    (
        {"kind": "four_things", "batch_size": 64, "ghost_size": 32},
        lambda m: place_(m, four_things(m, 64, ghost_size=32)),
    ),
    ({"kind": "four_things", "batch_size": 4, "num_groups": 16}, lambda m: place_(m, four_things(m, 4, num_groups=16))),
    ({"kind": "initialise", "gamma": 0.2}, lambda m: initialize_(m, 0.2)),
    (
        {"kind": "prepend_input_batch_norm", "num_features": 3, "scale": 0.5},
        lambda m: prepend_input_batch_norm_(m, 3, 0.5),
    ),
]


def described(model: nn.Module) -> list[str]:
    """Each module with its settings, whatever the class of a rewritten block prints."""
    return [f"{name}: {module.extra_repr()}" for name, module in model.named_modules()]


def test_the_table_and_the_cases_here_have_every_step() -> None:
    union = get_args(get_args(PlacementStep)[0])
    assert set(PLACEMENT_STEPS) == set(union)
    assert {step["kind"] for step, _ in STEPS} == {step.model_fields["kind"].default for step in union}


@pytest.mark.parametrize(
    ("step", "by_function"), STEPS, ids=lambda value: str(value.get("kind", "")) if isinstance(value, dict) else ""
)
def test_a_step_does_what_its_function_does_on_a_copy(
    step: dict[str, Any], by_function: Callable[[nn.Module], nn.Module]
) -> None:
    model, other = resnet(), resnet()
    before, state = described(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    placed = carry_out_placement(model, Placement.model_validate({"steps": [step]}))
    assert described(model) == before
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    torch.manual_seed(7)
    expected = by_function(other)
    assert described(placed) == described(expected)
    torch.testing.assert_close(placed.state_dict(), expected.state_dict(), rtol=0, atol=0)
    x = torch.randn(4, 3, 33, 33)
    placed.train(), expected.train()
    torch.testing.assert_close(placed(x), expected(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("step", "function"),
    [
        (XBN, xbn), (GNBN, gnbn), (IBNa, ibn_a), (IBNb, ibn_b_), (FourThings, four_things),
        (Initialize, initialize_), (PrependInputBatchNorm, prepend_input_batch_norm_),
    ],
)  # fmt: skip
def test_a_step_has_the_fields_and_defaults_of_its_function(step: Any, function: Callable[..., Any]) -> None:
    fields = {name: field for name, field in step.model_fields.items() if name != "kind"}
    parameters = dict(list(inspect.signature(function).parameters.items())[1:])
    assert list(fields) == list(parameters)
    for name, field in fields.items():
        assert field.is_required() == (parameters[name].default is inspect.Parameter.empty)
        assert field.is_required() or field.default == parameters[name].default


def test_a_placement_has_a_step() -> None:
    with pytest.raises(RecipeError, match="steps is empty"):
        parse(Placement, {"steps": []}, "placement.yaml")


def test_steps_follow_one_another_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "placement.yaml"
    path.write_text(
        "steps:\n"
        "- {kind: place, layer: StochNorm, settings: {p: 0.25, published_gradient: true}}\n"
        "- {kind: xbn, every: 4, with_stem: false}\n"
        "- {kind: initialise}\n"
    )
    placement = read(Placement, path)
    assert Placement.model_validate_json(placement.model_dump_json()) == placement
    placed: Any = carry_out_placement(resnet(), placement)
    assert (placed.bn1.p, placed.bn1.published_gradient) == (0.25, True)
    assert [type(placed.layer2[1].bn1).__name__, type(placed.layer2[1].bn2).__name__] == ["GroupNorm", "StochNorm"]
    torch.testing.assert_close(placed.layer4[1].bn1.weight, torch.full((512,), 0.1))


@pytest.mark.parametrize(
    ("step", "path", "said"),
    [
        ({"kind": "place"}, "steps[0].layer", "required"),
        ({"kind": "place", "layer": "StochNorm", "p": 1}, "steps[0].p", "not permitted"),
        ({"kind": "place", "layer": "StochNorm", "sites": []}, "steps[0].sites", "at least 1"),
        ({"kind": "place_in_blocks", "layer": "StochNorm", "position": "middle"}, "steps[0].position", "'middle'"),
        ({"kind": "xbn", "every": 0}, "steps[0].every", "0 was given"),
        ({"kind": "four_things", "batch_size": True}, "steps[0].batch_size", "true was given"),
        ({"kind": "initialise", "gamma": 2}, "steps[0].gamma", "2 was given"),
        ({"kind": "temperature"}, "steps[0]", "'temperature'"),
    ],
)
def test_a_broken_placement_names_the_field(step: dict[str, Any], path: str, said: str) -> None:
    with pytest.raises(RecipeError, match="afternorm schema placement") as caught:
        parse(Placement, {"steps": [step]}, "placement.yaml")
    assert [field for field, _ in caught.value.fields] == [path]
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"kind": "place", "layer": "StochNrm"}, "but 'StochNorm'"),
        ({"kind": "place", "layer": "StochNorm", "settings": {"q": 1}}, "no setting 'q'"),
        ({"kind": "place", "layer": "StochNorm", "settings": {"p": "half"}}, "StochNorm cannot take the place of"),
        ({"kind": "place", "layer": "StochNorm", "sites": ["conv*"]}, "'conv*' matches none"),
        ({"kind": "place_in_blocks", "layer": "StochNorm", "position": "third"}, "none is the third"),
    ],
)
def test_what_the_network_or_the_layer_does_not_allow_is_explained(step: dict[str, Any], said: str) -> None:
    model = resnet()
    before = described(model)
    placement = Placement.model_validate({"steps": [{"kind": "ibn_a"}, step]})
    with pytest.raises(AfternormError) as caught:
        carry_out_placement(model, placement)
    assert isinstance(caught.value, UsageError)
    assert said in str(caught.value)
    assert described(model) == before


@pytest.mark.parametrize("step", [step for step, _ in STEPS], ids=lambda step: step["kind"])
def test_no_recipe_of_a_job_has_such_a_step(step: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=step["kind"]):
        parse(Recipe, {"steps": [step]}, "recipe.yaml")
