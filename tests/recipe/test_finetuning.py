"""Fine-tunings and comparisons as values: closed, with a digest, arms complete, mistakes named by their path."""

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from calibrate import recipe
from calibrate.errors import RecipeError
from calibrate.finetune import PENALTIES, SCHEDULES
from calibrate.recipe import Comparison, FineTuning, loads, parse
from calibrate.recipe.finetuning import L2SPOptions, Penalty


def test_tables_hold_each_penalty_and_schedule() -> None:
    assert set(PENALTIES) == set(get_args(get_args(Penalty)[0]))
    assert set(SCHEDULES) == set(get_args(FineTuning.model_fields["schedule"].annotation))


def test_defaults_are_not_in_the_digest_and_every_difference_is() -> None:
    assert FineTuning(batch_size=32, phases=({"epochs": 5},)).canonical == '{"version":1}'  # type: ignore[arg-type]
    penalties: list[dict[str, Any]] = [{"kind": "bss"}, {"kind": "delta", "layers": ["a"]}]
    documents: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"penalties": penalties[:1]},
        {"penalties": penalties[1:]},
        {"classes": [1, 2]},
        {"optimizer": {"kind": "adam"}},
        {"layers": [{"kind": "gnbn"}]},
        {"affine_decay": {"strength": 0.1}},
        {"affine_decay": {"strength": 0.1, "gamma_toward": 1}},
    ]
    values = [FineTuning.model_validate(document) for document in documents]
    assert len({value.digest for value in values}) == len(values)
    for value in values:
        assert FineTuning.model_validate_json(value.canonical) == value


@pytest.mark.parametrize("name", recipe.ARMS)
def test_phases_by_name_are_those_written_out(name: str) -> None:
    """In the digest, too, in an arm of a comparison, and in place of what base says."""
    written = {"phases": [phase.model_dump() for phase in recipe.ARMS[name]]}
    named, by_hand = loads(FineTuning, f"phases: {name}", "x"), FineTuning.model_validate(written)
    assert (named, named.digest) == (by_hand, by_hand.digest)
    base = {"phases": [{"epochs": 7}]}
    compared = parse(Comparison, {"base": base, "arms": {"a": {}, "b": {"phases": name}}, "baseline": "a"}, "x")
    assert (compared.arms["a"].epochs, compared.arms["b"].phases) == (7, named.phases)
    given, phases = FineTuning.model_json_schema()["properties"]["phases"]["anyOf"]
    assert name in given["enum"]
    assert phases["items"] == {"$ref": "#/$defs/Phase"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"epochs": 3}, "epochs: extra inputs"),
        ({"phases": []}, "phases: phases is empty"),
        ({"phases": "head"}, "phases: 'head' names no phases; write them out, or name one of all, .*, head_then_all, "),
        ({"phases": [{"norms": {"normalise": "group"}}]}, r"phases\[0\].norms.normalise"),
        ({"penalties": [{"kind": "bss", "k": 0}]}, r"penalties\[0\].k: 0 was given"),
        ({"penalties": [{"kind": "bss"}, {"kind": "bss"}]}, "one kind twice"),
        ({"penalties": [{"kind": "l2_sp"}]}, "set weight_decay: 0"),
        ({"layers": [{"kind": "xbn", "every": 0}]}, r"layers\[0\].every"),
        ({"optimizer": {"kind": "sgd", "momentum": 0, "nesterov": True}}, "optimizer: nesterov looks ahead"),
        ({"patience": 2, "validation": 0}, "patience waits"),
        ({"classes": ["cat"]}, "two or more"),
        ({"classes": ["cat", "cat"]}, "two or more"),
        ({"fraction": 0}, "fraction: 0 was given"),
        ({"batch_size": True}, "true was given"),
    ],
)
def test_mistakes_are_named(document: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse(FineTuning, document, "recipe.yaml")


BASE: dict[str, Any] = {"batch_size": 8, "groups": {"weight_decay": 0}}
ARMS: dict[str, Any] = {"a": {}, "b": {"penalties": [{"kind": "l2_sp"}], "batch_size": 4}}


def test_an_arm_is_base_with_what_it_says_itself() -> None:
    """L2-SP is fine beside the base's weight decay of 0, though it would not be beside the default one."""
    found = parse(Comparison, {"base": BASE, "arms": ARMS, "baseline": "a"}, "x")
    assert found.arms["a"] == found.base == FineTuning.model_validate(BASE)
    assert found.arms["b"] == FineTuning.model_validate({**BASE, "penalties": (L2SPOptions(),), "batch_size": 4})
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    values = {"a": FineTuning(), "b": FineTuning(batch_size=4)}
    in_python = Comparison(base=FineTuning(batch_size=8, mixup=0.2), arms=values, baseline="a")
    assert [(arm.batch_size, arm.mixup) for arm in in_python.arms.values()] == [(8, 0.2), (4, 0.2)]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"base": BASE, "arms": ARMS, "baseline": "c"}, "which is no arm; name one of a, b"),
        ({"base": BASE, "arms": {"a": {}}, "baseline": "a"}, "at least 2"),
        ({"base": {"seed": 3}, "arms": {"a": {}, "b": {}}, "baseline": "a"}, "the arm a has the seed 3"),
        ({"arms": {"a": {}, "b": {"mixup": -1}}, "baseline": "a"}, r"arms.b.mixup: -1 was given"),
        ({"arms": {"a": {}, "A": {}}, "baseline": "a"}, "differ in more than case"),
        ({"arms": {"a": {}, "../b": {}}, "baseline": "a"}, "cannot name a folder"),
        ({"arms": {"a": {}, "b": 3}, "baseline": "a"}, "arms.b"),
        ({"arms": {"a": {}, "b": {}}, "baseline": "a", "seeds": 1}, "seeds: 1 was given"),
    ],
)
def test_mistakes_of_comparisons_are_named(document: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse(Comparison, document, "comparison.yaml")


def test_a_mistake_in_base_is_told_once() -> None:
    with pytest.raises(RecipeError) as caught:
        parse(Comparison, {"base": {"mixup": -1}, "arms": {"a": {}, "b": {}}, "baseline": "a"}, "x")
    assert [path for path, _ in caught.value.fields] == ["base.mixup"]


@pytest.mark.parametrize("kind", [FineTuning, Comparison])
def test_schemas_are_closed(kind: type[BaseModel]) -> None:
    schema = kind.model_json_schema()
    assert schema["additionalProperties"] is False
    for name, definition in schema["$defs"].items():
        assert definition["additionalProperties"] is False, name
