"""Recipes on data without labels: those that need none give what they give with labels, the others are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate import PRESETS, Outcome, Recipe, retrofit
from calibrate.errors import UsageError
from calibrate.recipe import STEP_KINDS
from calibrate.steps import ProbeEstimationShift, ProbeResult, Reestimate, Reestimation, SetAlpha
from tests.builders.examples import examples, trained
from tests.builders.states import assert_same_statistics

#: What a step cannot do without.
GIVEN: dict[str, dict[str, Any]] = {"set_alpha": {"alpha": 0.1}, "adapt": {"method": {"kind": "tent"}}}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The same inputs without labels, and all of one class."""
    x = np.stack([x.numpy() for x, _ in examples(30)])
    np.savez(tmp_path / "bare.npz", x=x)
    np.savez(tmp_path / "one.npz", x=x, y=np.zeros(len(x), np.int64))
    return tmp_path / "bare.npz", tmp_path / "one.npz"


def run(recipe: Recipe, data: Path) -> Outcome:
    return retrofit(trained(), recipe, data=data)


@pytest.mark.parametrize("kind", STEP_KINDS)
def test_a_step_runs_without_labels_or_says_that_it_needs_them(kind: str, places: tuple[Path, Path]) -> None:
    recipe = Recipe.model_validate({"steps": [{"kind": kind, **GIVEN.get(kind, {})}]})
    if STEP_KINDS[kind].needs_labels:
        with pytest.raises(UsageError, match=rf"bare.npz has no labels, and the step {kind} cannot do without"):
            run(recipe, places[0])
    else:
        retrofit(trained(), recipe, data=places[0], training=places[1] if STEP_KINDS[kind].needs_reference else None)


def test_the_same_images_give_the_same_statistics_and_shift(places: tuple[Path, Path]) -> None:
    recipe = Recipe(seed=5, steps=[ProbeEstimationShift(), Reestimate(samples=10), ProbeEstimationShift()])
    bare, labelled = (run(recipe, place) for place in places)
    assert_same_statistics(bare.model, labelled.model)
    assert bare.summary.of(ProbeResult) == labelled.summary.of(ProbeResult)
    assert bare.summary.of(Reestimation) == labelled.summary.of(Reestimation)


def test_the_summary_says_that_there_are_none(places: tuple[Path, Path]) -> None:
    summary = run(Recipe(steps=[ProbeEstimationShift(), SetAlpha(alpha=0.1)]), places[0]).summary
    assert (summary.data.n, summary.data.calibration, summary.data.holdout) == (30, 15, 15)
    assert (summary.data.classes_present, summary.data.stratified) == (0, False)
    assert (summary.measurement, summary.verdict) == (None, None)


def test_the_refusal_names_every_such_step_and_the_recipe_that_would_do(places: tuple[Path, Path]) -> None:
    with pytest.raises(
        UsageError, match=r"steps temperature, measure cannot do without; .*the recipe without them"
    ) as told:
        run(PRESETS["adabn"], places[0])
    rest = str(told.value).split("without them, ")[1].removesuffix(".")
    run(Recipe.model_validate_json(rest), places[0])
    with pytest.raises(
        UsageError, match=r"step measure .*steps that need none: set_alpha, label_free_alpha, reestimate"
    ):
        run(PRESETS["measure"], places[0])


def test_training_data_need_no_labels(places: tuple[Path, Path]) -> None:
    recipe = Recipe(steps=[Reestimate(on="training")])
    bare, labelled = (retrofit(trained(), recipe, data=examples(), training=place).model for place in places)
    assert_same_statistics(bare, labelled)
