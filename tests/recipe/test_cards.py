"""Cards of the steps and of the adaptation methods: one for each, complete, and true to the fields they name."""

import re
from dataclasses import asdict
from typing import get_args

import pytest

from calibrate.recipe import CARDS, METHOD_CARDS, METHODS, STEP_KINDS, Method, Recipe

FIELDS = {kind: set(step.model_fields) for kind, step in STEP_KINDS.items()} | {
    kind: set(type(method).model_fields) for kind, method in METHODS.items()
}


def test_every_step_has_its_card_and_no_card_is_left_over() -> None:
    schema = Recipe.model_json_schema()["properties"]["steps"]["items"]["discriminator"]["mapping"]
    assert list(CARDS) == list(STEP_KINDS)
    assert set(CARDS) == set(schema)


def test_every_method_has_its_card_and_its_defaults() -> None:
    union = get_args(get_args(Method)[0])
    assert tuple(map(type, METHODS.values())) == union
    assert list(METHOD_CARDS) == list(METHODS) == [method.model_fields["kind"].default for method in union]
    assert not set(METHODS) & set(STEP_KINDS)


@pytest.mark.parametrize("kind", [*CARDS, *METHOD_CARDS])
def test_a_card_is_complete_and_names_only_fields_that_there_are(kind: str) -> None:
    card = asdict({**CARDS, **METHOD_CARDS}[kind])
    assert all(card.values())
    assert set(re.findall(r"``(\w+)``", " ".join(card.values()))) <= FIELDS[kind]
