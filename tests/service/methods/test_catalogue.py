"""The catalogue has every step and every preset, and its schemas accept what recipes accept."""

import json

import jsonschema_rs
import pytest

from calibrate.recipe import PRESETS, STEP_KINDS, Recipe
from calibrate.steps import read_card
from service.jobs.kinds import PERMITTED
from service.methods import catalogue
from tests.service.api.running import run

CATALOGUE = catalogue(PERMITTED)


def test_every_step_has_its_card_and_no_card_is_left_over() -> None:
    assert {method.kind for method in CATALOGUE.methods} == set(STEP_KINDS)
    assert set().union(*PERMITTED.values()) <= set(STEP_KINDS)
    for method in CATALOGUE.methods:
        card = read_card(STEP_KINDS[method.kind])
        described = (method.title, method.symbols, method.formula, method.changes_nothing_when, method.helps_when)
        assert described == (card.sentence, card.symbols, card.formula, card.equals, card.helps)
        described = (method.does_not_help_when, method.cost, method.limits, method.reference)
        assert described == (card.does_not_help, card.cost, card.limits, card.reference)


def test_methods_say_which_jobs_permit_them() -> None:
    for method in CATALOGUE.methods:
        assert set(method.jobs) == {kind for kind, steps in PERMITTED.items() if method.kind in steps}


@pytest.mark.parametrize("preset", CATALOGUE.presets, ids=lambda preset: preset.name)
def test_presets_are_the_recipes_own_and_keep_the_schemas(preset) -> None:
    assert preset.recipe == PRESETS[preset.name]
    document = preset.recipe.model_dump(mode="json")
    assert jsonschema_rs.is_valid(CATALOGUE.json_schemas["recipe"], document)
    schemas = {method.kind: method.json_schema for method in CATALOGUE.methods}
    for step in document["steps"]:
        assert jsonschema_rs.is_valid(schemas[step["kind"]], step)
        assert not jsonschema_rs.is_valid(schemas[step["kind"]], step | {"unknown": 1})


def test_it_is_served_as_it_is(tmp_path) -> None:
    with run(tmp_path) as server:
        served = server.client.get("/v1/methods").json()
    assert served == json.loads(CATALOGUE.model_dump_json())
    assert {preset["digest"] for preset in served["presets"]} == {
        Recipe.model_validate(preset["recipe"]).digest for preset in served["presets"]
    }
