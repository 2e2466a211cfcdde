"""Cards of the steps and of the adaptation methods: one for each, complete, and true to the fields they name."""

import re
from dataclasses import asdict
from typing import get_args

import pytest

from calibrate.recipe import ARMS, FINE_TUNING_KINDS, STEP_KINDS, Recipe
from calibrate.recipe.finetuning import FineTuning, Penalty
from calibrate.steps import METHOD_KINDS, METHODS, Method, read_card

CARDS = {kind: read_card(step) for kind, step in STEP_KINDS.items()}
METHOD_CARDS = {kind: read_card(method) for kind, method in METHOD_KINDS.items()}
FINE_TUNING_CARDS = {name: read_card(part) for name, part in FINE_TUNING_KINDS.items()}

FIELDS = {kind: set(step.model_fields) for kind, step in STEP_KINDS.items()} | {
    kind: set(type(method).model_fields) for kind, method in METHODS.items()
}
FIELDS |= {name: set(value.model_fields) for name, value in FINE_TUNING_KINDS.items()}


def test_every_step_has_its_card_and_no_card_is_left_over() -> None:
    schema = Recipe.model_json_schema()["properties"]["steps"]["items"]["discriminator"]["mapping"]
    assert list(CARDS) == list(STEP_KINDS)
    assert set(CARDS) == set(schema)


def test_every_method_has_its_card_and_its_defaults() -> None:
    union = get_args(get_args(Method)[0])
    assert tuple(map(type, METHODS.values())) == union
    assert list(METHOD_CARDS) == list(METHODS) == [method.model_fields["kind"].default for method in union]
    assert not set(METHODS) & set(STEP_KINDS)


def test_every_penalty_has_its_card_under_its_kind() -> None:
    assert list(FINE_TUNING_CARDS) == list(FINE_TUNING_KINDS)
    for penalty in get_args(get_args(Penalty)[0]):
        assert FINE_TUNING_KINDS[penalty.model_fields["kind"].default] is penalty


def test_what_is_out_of_scope_is_said() -> None:
    said = " ".join(card.limits for card in FINE_TUNING_CARDS.values())
    assert all(words in said for words in ("group whitening", "detection heads", "multi-label", "AUC"))


@pytest.mark.parametrize(
    ("arm", "epochs", "learning"),
    [
        ("all", [5], ["all"]),
        ("all_with_frozen_norms", [5], ["all"]),
        ("head_then_all", [3, 5], ["head", "all"]),
        ("head_and_norms_then_all", [3, 5], ["head_and_norms", "all"]),
    ],
)
def test_arms_are_the_post_s(arm: str, epochs: list[int], learning: list[str]) -> None:
    phases = FineTuning(phases=ARMS[arm]).phases
    assert [phase.epochs for phase in phases] == epochs
    assert [phase.trainable for phase in phases] == learning


@pytest.mark.parametrize("kind", [*CARDS, *METHOD_CARDS, *FINE_TUNING_CARDS])
def test_a_card_is_complete_and_names_only_fields_that_there_are(kind: str) -> None:
    card = asdict({**CARDS, **METHOD_CARDS, **FINE_TUNING_CARDS}[kind])
    assert all(card.values())
    assert set(re.findall(r"``(\w+)``", " ".join(card.values()))) <= FIELDS[kind]
