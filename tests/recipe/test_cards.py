"""Cards of the steps: one for each, complete, and true to the fields they name."""

import re
from dataclasses import asdict

import pytest

from calibrate.recipe import CARDS, STEP_KINDS, Recipe


def test_every_step_has_its_card_and_no_card_is_left_over() -> None:
    schema = Recipe.model_json_schema()["properties"]["steps"]["items"]["discriminator"]["mapping"]
    assert list(CARDS) == list(STEP_KINDS)
    assert set(CARDS) == set(schema)


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_is_complete_and_names_only_fields_that_there_are(kind: str) -> None:
    card = asdict(CARDS[kind])
    assert all(card.values())
    assert set(re.findall(r"``(\w+)``", " ".join(card.values()))) <= set(STEP_KINDS[kind].model_fields)
