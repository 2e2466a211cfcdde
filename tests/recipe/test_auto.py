"""The step auto: it stands alone, survives JSON, and every field of it counts."""

from typing import Any

import pytest
from pydantic import ValidationError

from calibrate.cli.auto_options import with_search
from calibrate.errors import UsageError
from calibrate.recipe import PRESETS, Recipe
from calibrate.steps import TUNING_KINDS, Auto, Domain

CANDIDATE = {"name": "α", "steps": [{"kind": "search_alpha"}]}
CHANGES: dict[str, Any] = {
    "candidates": [CANDIDATE],
    "margin": 2.0,
    "max_passes": 20.0,
    "max_minutes": 5.0,
    "shifts": [{"corruption": "fog", "severity": 3}],
    "resamples": 500,
    "bins": 10,
}


def auto(**fields: Any) -> Recipe:
    return Recipe.model_validate({"steps": [{"kind": "auto", **fields}]})


def test_every_field_counts_and_a_default_does_not() -> None:
    assert set(CHANGES) | {"kind", "guardrail"} == set(Auto.model_fields)
    digests = {auto(**{field: value}).digest for field, value in CHANGES.items()}
    digests |= {auto().digest, auto(shifts=CHANGES["shifts"], guardrail=0.05).digest}
    assert len(digests) == len(CHANGES) + 2
    assert auto().digest == PRESETS["auto"].digest == auto(margin=1.0, guardrail=0.01).digest


@pytest.mark.parametrize("fields", [{}, CHANGES, {"shifts": [{}], "guardrail": 0.2}])
def test_a_recipe_survives_json_and_its_own_document(fields: dict[str, Any]) -> None:
    recipe = auto(**fields)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert Recipe.model_validate(recipe.model_dump()) == recipe


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"guardrail": 0.2}, "there are none"),
        ({"shifts": [{}, {}]}, "listed twice"),
        ({"candidates": [CANDIDATE, CANDIDATE]}, "two candidates are called 'α'"),
        ({"candidates": [{**CANDIDATE, "name": "T"}]}, "as a row of any leaderboard"),
        ({"candidates": [{**CANDIDATE, "steps": []}]}, "at least 1"),
        ({"candidates": [{**CANDIDATE, "steps": CANDIDATE["steps"] * 9}]}, "at most 8"),
        ({"max_passes": "inf"}, "less than or equal"),
        ({"shifts": [{}], "guardrail": 0.0}, "greater than 0"),
        ({"candidates": [{"name": "x", "steps": [{"kind": "measure"}]}]}, "does not match any"),
        ({"candidates": [{"name": "x", "steps": [{"kind": "reestimate", "on": "training"}]}]}, "training data"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        auto(**fields)


@pytest.mark.parametrize("other", ["measure", "temperature", "search_alpha", "auto"])
def test_it_stands_alone(other: str) -> None:
    with pytest.raises(ValidationError, match=f"the step auto stands beside {other}"):
        Recipe.model_validate({"steps": [{"kind": "auto"}, {"kind": other}]})


def test_the_default_candidates_try_every_kind_of_tuning_but_a_given_alpha() -> None:
    step = PRESETS["auto"].steps[0]
    assert isinstance(step, Auto)
    assert {inner.kind for candidate in step.candidates for inner in candidate.steps} == TUNING_KINDS - {
        "set_alpha",
        "reestimate",  # which is the statistics' search at λ = 0
    }


@pytest.mark.parametrize(
    ("budget", "field", "value"),
    [
        ("20-passes", "max_passes", 20),
        ("5min", "max_minutes", 5),
        ("90s", "max_minutes", 1.5),
        ("1h", "max_minutes", 60),
    ],
)
def test_budgets_are_passes_or_times(budget: str, field: str, value: float) -> None:
    (step,) = with_search(PRESETS["auto"], budget, None, None).steps
    assert getattr(step, field) == value


def test_shifts_and_a_guardrail_in_points_reach_the_step() -> None:
    (step,) = with_search(PRESETS["auto"], None, "as-is,fog:3", 2.5).steps
    assert isinstance(step, Auto)
    assert step.shifts == (Domain(), Domain(corruption="fog", severity=3))
    assert step.guardrail == 0.025


@pytest.mark.parametrize(
    ("budget", "recipe", "words"),
    [
        ("20", "auto", "such as 20-passes"),
        ("1-passes", "auto", "greater than or equal to 2"),
        ("20-passes", "alpha", "are of the recipes auto and quick"),
    ],
)
def test_a_budget_that_cannot_be_is_explained(budget: str, recipe: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        with_search(PRESETS[recipe], budget, None, None)
