"""The recipe as a value: its digest, its closure, the order of its steps."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from calibrate.errors import RecipeError
from calibrate.recipe import PRESETS, Outputs, Preprocessing, Recipe, parse, read_recipe
from calibrate.steps import Measure, Probe, SearchAlpha, SetAlpha, Temperature

FULL: dict[str, Any] = {
    "version": 1,
    "seed": 0,
    "steps": [
        {"kind": "set_alpha", "alpha": 0.25, "sites": ["*"]},
        {"kind": "search_alpha", "maximum": 0.5, "refinements": 2, "margin": 1.0, "curve": True, "sites": ["*"]},
        {
            "kind": "reestimate",
            "on": "calibration",
            "order": "in_order",
            "samples": None,
            "batch_size": None,
            "augmentation": "none",
            "prior": 8.0,
            "weight": None,
            "variant": "moments",
            "only": "all",
            "sites": ["*"],
        },
        {"kind": "temperature"},
        {"kind": "measure", "resamples": 2000, "bins": 15},
        {"kind": "corruptions", "names": "all", "severities": [1, 2, 3, 4, 5], "samples": None, "resamples": 2000},
    ],
}
SHORT: dict[str, Any] = {
    "steps": [
        {"kind": "set_alpha", "alpha": 0.25},
        {"kind": "search_alpha"},
        {"kind": "reestimate", "prior": 8.0},
        {"kind": "temperature"},
        {"kind": "measure"},
        {"kind": "corruptions"},
    ],
}

positive = st.floats(0.001, 1)
sites = st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple)
alpha_steps = st.builds(SetAlpha, alpha=positive, sites=sites) | st.builds(
    SearchAlpha, maximum=positive, refinements=st.integers(0, 20), margin=st.floats(0.001, 10), sites=sites
)
recipes = st.builds(
    lambda seed, alphas, temperature, measures: Recipe(seed=seed, steps=(*alphas, *temperature, *measures)),
    st.integers(0, 2**32 - 1),
    st.lists(alpha_steps, min_size=1, max_size=3),
    st.lists(st.just(Temperature()), max_size=1),
    st.lists(st.builds(Measure, resamples=st.integers(100, 100_000), bins=st.integers(2, 100)), max_size=1),
)


def backwards(value: Any) -> Any:
    """The same document with the fields of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def with_change(path: tuple[str | int, ...], value: Any) -> Recipe:
    document = json.loads(json.dumps(FULL))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return Recipe.model_validate(document)


def test_fields_at_their_default_leave_no_trace_in_the_digest() -> None:
    assert Recipe.model_validate(FULL).digest == Recipe.model_validate(SHORT).digest
    assert json.loads(Recipe.model_validate(FULL).canonical) == {"version": 1, **SHORT}


def test_minus_zero_is_zero() -> None:
    """Equal recipes have one digest."""
    digests = {with_change(("steps", 0, "alpha"), zero).digest for zero in (0, 0.0, -0.0, "-0.0")}
    assert len(digests) == 1


def test_every_field_of_every_step_stands_in_the_full_document() -> None:
    """Else the tests of the digest would pass over a field that was added."""
    for step in Recipe.model_validate(FULL).steps:
        document = next(item for item in FULL["steps"] if item["kind"] == step.kind)
        assert set(document) == set(type(step).model_fields)
    assert set(FULL) == set(Recipe.model_fields)


def test_the_order_of_fields_leaves_no_trace_in_the_digest() -> None:
    """Nor would it if the fields were declared in another order."""
    recipe = Recipe.model_validate(backwards(FULL))
    assert recipe.digest == Recipe.model_validate(FULL).digest
    assert recipe.canonical == json.dumps(json.loads(recipe.canonical), sort_keys=True, separators=(",", ":"))


CHANGES: list[tuple[tuple[str | int, ...], Any]] = [
    (("seed",), 1),
    (("steps", 0, "alpha"), 0.125),
    (("steps", 0, "alpha"), 0.0),
    (("steps", 0, "sites"), ["layer1.*"]),
    (("steps", 1, "maximum"), 0.4),
    (("steps", 1, "refinements"), 5),
    (("steps", 1, "margin"), 0.0),
    (("steps", 1, "curve"), False),
    (("steps", 1, "sites"), ["*", "*"]),
    (("steps", 2, "on"), "training"),
    (("steps", 2, "order"), "batch"),
    (("steps", 2, "samples"), 100),
    (("steps", 2, "augmentation"), "flip_crop"),
    (("steps", 2, "prior"), 9.0),
    (("steps", 2, "variant"), "published"),
    (("steps", 2, "only"), "sick"),
    (("steps", 2, "sites"), ["layer1.*"]),
    (("steps", 4, "resamples"), 2001),
    (("steps", 4, "bins"), 10),
    (("steps", 5, "names"), "common"),
    (("steps", 5, "names"), ["fog"]),
    (("steps", 5, "severities"), [1]),
    (("steps", 5, "samples"), 10),
    (("steps", 5, "resamples"), 2001),
    (("steps",), FULL["steps"][:4]),
    (("steps",), FULL["steps"][1:]),
    (("steps",), [FULL["steps"][1], FULL["steps"][0], *FULL["steps"][2:]]),
]


def test_every_other_value_changes_the_digest() -> None:
    digests = [Recipe.model_validate(FULL).digest, *(with_change(path, value).digest for path, value in CHANGES)]
    assert len(set(digests)) == len(CHANGES) + 1
    in_batches = with_change(("steps", 2, "order"), "batch").model_dump()
    in_batches["steps"][2]["batch_size"] = 8
    by_weight = with_change(("steps", 2, "prior"), 0).model_dump()
    by_weight["steps"][2]["weight"] = 0.5
    others = [Recipe.model_validate(document).digest for document in (in_batches, by_weight)]
    assert not {*others} & {*digests}
    assert others[0] != others[1]
    changed = {path[-1] for path, _ in CHANGES} | {"batch_size", "weight"}
    fields = {name for step in Recipe.model_validate(FULL).steps for name in type(step).model_fields}
    assert fields | set(Recipe.model_fields) == changed | {"version", "kind"}


@given(recipes, recipes)
@settings(deadline=None)
def test_two_recipes_share_a_digest_only_if_they_are_equal(one: Recipe, other: Recipe) -> None:
    assert (one == other) == (one.digest == other.digest)
    assert Recipe.model_validate(one.model_dump()).digest == one.digest
    assert Recipe.model_validate_json(one.canonical) == one
    assert Recipe.model_validate_json(one.model_dump_json()) == one


def test_a_recipe_is_frozen() -> None:
    recipe = PRESETS["alpha"]
    for value, field in ((recipe, "seed"), (recipe, "steps"), (recipe.steps[0], "maximum"), (recipe.steps[0], "kind")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, field, 1)
    assert hash(recipe) == hash(Recipe.model_validate(recipe.model_dump()))


@pytest.mark.parametrize("value", [Outputs(), Preprocessing(), *Recipe.model_validate(FULL).steps])
def test_every_value_is_frozen_and_closed(value: BaseModel) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, next(iter(type(value).model_fields)), 1)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(value).model_validate({**value.model_dump(), "surprise": 1})


KINDS: dict[str, dict[str, Any]] = {"a": {"kind": "set_alpha", "alpha": 0.1}, "s": {"kind": "search_alpha"}} | {
    "r": {"kind": "reestimate"},
    "t": {"kind": "temperature"},
    "m": {"kind": "measure"},
}


@pytest.mark.parametrize("order", ["a", "s", "t", "m", "at", "am", "stm", "aasstm", "tm", "sa", "rstm", "ar", "rr"])
def test_orders_that_make_sense(order: str) -> None:
    recipe = Recipe.model_validate({"steps": [KINDS[letter] for letter in order]})
    assert [step.kind for step in recipe.steps] == [KINDS[letter]["kind"] for letter in order]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("", "name at least one step"),
        ("mt", "measure stands before temperature"),
        ("sma", "measure stands before set_alpha"),
        ("mm", "measure stands 2 times"),
        ("tt", "temperature stands 2 times"),
        ("ttt", "temperature stands 3 times"),
        ("ts", "temperature stands before search_alpha"),
        ("tam", "temperature stands before set_alpha"),
    ],
)
def test_orders_that_do_not(order: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        parse(Recipe, {"steps": [KINDS[letter] for letter in order]}, "order.yaml")
    assert [path for path, _ in caught.value.fields] == ["steps"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deltas", [0.2, 0.1]),
        ("deltas", [0.2, 0.2]),
        ("deltas", [0.0, 0.1]),
        ("deltas", [1.0]),
        ("deltas", []),
        ("deltas", [True]),
        ("repetitions", 4),
        ("max_samples", 0),
        ("disturb", "none"),
    ],
)
def test_noise_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    step = {"kind": "statistic_noise"}
    assert parse(Recipe, {"steps": [step]}, "noise.yaml").steps[0].kind == "statistic_noise"
    with pytest.raises(RecipeError, match=field):
        parse(Recipe, {"steps": [{**step, field: value}]}, "noise.yaml")


def test_presets_are_found_by_name_and_end_with_a_measurement_where_they_change_anything() -> None:
    for name, recipe in PRESETS.items():
        assert read_recipe(name) is recipe
        assert recipe.steps[-1].kind in ("measure", "auto") or all(isinstance(step, Probe) for step in recipe.steps)
    assert len({recipe.digest for recipe in PRESETS.values()}) == len(PRESETS)
