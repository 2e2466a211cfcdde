"""``afternorm methods`` shows every step and every layer, with all of its card and settings."""

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from calibrate.nn import LAYERS
from calibrate.recipe import FINE_TUNING_KINDS, STEP_KINDS
from calibrate.steps import METHOD_KINDS, read_card
from tests.builders.commands import Ran

KINDS = {**STEP_KINDS, **METHOD_KINDS, **FINE_TUNING_KINDS}
WITHOUT_TORCH = {name: read_card(value) for name, value in KINDS.items()}


def words(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def test_all_methods_are_listed_with_their_sentences(afternorm: Callable[..., Ran]) -> None:
    ran = afternorm("methods")
    assert ran.code == 0
    rows = [words(line) for line in ran.out.splitlines() if line.startswith("  ")]
    cards = [*WITHOUT_TORCH.items(), *((name, spec.card) for name, spec in LAYERS.items())]
    assert rows == [f"{name} {words(card.sentence)}" for name, card in cards]


@pytest.mark.parametrize("name", [*WITHOUT_TORCH, *LAYERS])
def test_a_card_is_printed_whole(name: str, afternorm: Callable[..., Ran]) -> None:
    card = LAYERS[name].card if name in LAYERS else WITHOUT_TORCH[name]
    shown = words(afternorm("methods", name).out)
    for part in asdict(card).values():
        assert words(part) in shown


def test_json_is_the_cards_with_settings_that_make_the_method(afternorm: Callable[..., Ran]) -> None:
    methods = json.loads(afternorm("methods", "--json").out)
    assert [method["name"] for method in methods] == [*WITHOUT_TORCH, *LAYERS]
    for method in methods:
        assert json.loads(afternorm("methods", method["name"], "--json").out) == method
        name, settings = method["name"], {setting["name"]: setting for setting in method["settings"]}
        if method["kind"] != "layer":
            value = KINDS[name]
            schema = value.model_json_schema()
            assert list(settings) == [field for field in schema["properties"] if field != "kind"]
            assert [key for key in settings if settings[key]["required"]] == schema.get("required", [])
            given = {key: setting["default"] for key, setting in settings.items() if not setting["required"]}
            if len(given) == len(settings) and name != "bn_alpha":  # which has one of two weights
                assert value(**given) == value()
        else:
            taken = inspect.signature(LAYERS[name].layer).parameters
            for key, setting in settings.items():
                assert setting["required"] == (taken[key].default is inspect.Parameter.empty)
                assert setting["required"] or setting["default"] == taken[key].default
                assert f"{key}: {setting['type']}" in str(taken[key])


@pytest.mark.parametrize(
    ("name", "said"), [("stochnorm", "but 'StochNorm'"), ("search-alpha", "but 'search_alpha'"), ("xyz", "'xyz';")]
)
def test_an_unknown_name_is_explained(name: str, said: str, afternorm: Callable[..., Ran]) -> None:
    ran = afternorm("methods", name)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "`afternorm methods` lists" in ran.err
