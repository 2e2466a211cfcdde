"""Training data: the statistics of the source within a recipe, and layer 0 of the estimation shift."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrate import PRESETS, Recipe, retrofit
from calibrate.errors import DataError, UsageError
from calibrate.recipe import STEP_KINDS
from calibrate.stats import reestimate
from calibrate.steps import (
    EstimationShift,
    Measure,
    ProbeEstimationShift,
    ProbeResult,
    Reestimate,
    Reestimation,
    SetAlpha,
    StepValue,
    Temperature,
)
from tests.builders.examples import examples, holdout, trained
from tests.builders.states import assert_same_statistics

TRAINING = examples(50, seed=7)
INPUTS = torch.stack([x for x, _ in TRAINING])


@pytest.mark.parametrize("order", ["in_order", "batch"])
def test_the_statistics_are_those_of_all_training_data(order: Any) -> None:
    recipe = Recipe(steps=[Reestimate(on="training", order=order)])
    outcome = retrofit(trained(), recipe, data=examples(), training=TRAINING, batch_size=16)
    assert_same_statistics(outcome.model, reestimate(trained(), INPUTS.split(16), order=order))
    (found,) = outcome.summary.of(Reestimation)
    assert (found.on, found.images, found.passes) == ("training", 50, 1.0)


def test_labels_of_training_data_make_no_difference() -> None:
    step, otherwise = Reestimate(on="training"), [(x, 1_000_000) for x, _ in TRAINING]
    one, other = (
        retrofit(trained(), Recipe(steps=[step]), data=examples(), training=given).model
        for given in (TRAINING, otherwise)
    )
    assert_same_statistics(one, other)


def test_samples_bound_the_training_examples() -> None:
    def tuned(samples: int) -> Any:
        return retrofit(
            trained(), Recipe(steps=[Reestimate(on="training", samples=samples)]), data=examples(10), training=TRAINING
        )

    assert tuned(20).summary.of(Reestimation)[0].images == 20
    assert_same_statistics(tuned(20).model, tuned(20).model)
    assert_same_statistics(tuned(50).model, reestimate(trained(), INPUTS.split(64)))
    with pytest.raises(DataError, match="wanted 51 samples, the training data have 50; lower `samples`"):
        tuned(51)


def test_precise_bn_is_measured_on_the_holdout_half_of_the_data() -> None:
    summary = retrofit(trained(), PRESETS["precise_bn"], data=examples(), training=TRAINING).summary
    alone = retrofit(trained(), PRESETS["temperature"], data=examples()).summary
    assert summary.measurement is not None
    assert alone.measurement is not None
    assert summary.measurement.n == 45
    assert summary.measurement.arm("T") == alone.measurement.arm("T")


def test_the_summary_names_the_training_data_and_its_digest_changes_with_them() -> None:
    recipe = Recipe(steps=[Reestimate(on="training", samples=1)])
    other = [*TRAINING[:-1], (TRAINING[-1][0] + 1, TRAINING[-1][1])]
    one, same, changed = (
        retrofit(trained(), recipe, data=examples(), training=given).summary for given in (TRAINING, TRAINING, other)
    )
    assert one.data.training is not None
    assert changed.data.training is not None
    assert one.data.training.n == 50
    assert one.data.training.fingerprint != changed.data.training.fingerprint
    assert one.digest == same.digest
    assert one.digest != changed.digest


def test_what_is_missing_useless_or_of_another_size_is_refused_before_the_first_pass() -> None:
    heard: list[object] = []

    def run(*steps: Any, training: Any) -> None:
        retrofit(trained(), Recipe(steps=steps), data=examples(), training=training, progress=heard.append)

    with pytest.raises(UsageError, match=r"reestimate has `on: training`.*--training-data"):
        run(Reestimate(on="training"), training=None)
    with pytest.raises(UsageError, match="no step of the recipe uses them"):
        run(SetAlpha(alpha=0.1), Reestimate(), Temperature(), Measure(), training=TRAINING)
    with pytest.raises(DataError, match=r"example 0 of list.*\(1, 4, 4\).*\(1, 8, 8\)"):
        run(Reestimate(on="training"), training=[(x[:, ::2, ::2], y) for x, y in TRAINING])
    assert heard == []


def test_layer_0_is_the_input_against_that_of_the_training_data() -> None:
    recipe = Recipe(steps=[ProbeEstimationShift()])
    (found,) = retrofit(trained(), recipe, data=examples(), training=TRAINING, batch_size=16).summary.of(ProbeResult)
    assert isinstance(found, EstimationShift)
    assert found.input is not None

    def moments(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        values = x.double().numpy()
        return values.mean((0, 2, 3)), values.std((0, 2, 3))

    (mean, deviation), (held_mean, held_deviation) = moments(INPUTS), moments(holdout()[0])
    assert (found.input.images, found.input.channels) == (50, 1)
    assert found.input.mean == pytest.approx(np.linalg.norm(mean - held_mean), rel=1e-9)
    assert found.input.deviation == pytest.approx(np.linalg.norm(deviation - held_deviation), rel=1e-9)


def test_every_step_that_can_use_training_data_is_named_where_none_does() -> None:
    """The sentence names those whose own property can say so, and no others."""
    overriding = {kind for kind, step in STEP_KINDS.items() if step.training_data is not StepValue.training_data}
    assert overriding == {kind for kind, step in STEP_KINDS.items() if step.uses_training_data is not None}
    always = {kind for kind, step in STEP_KINDS.items() if step.uses_training_data == ""}
    assert always == {"estimation_shift", "field_shift", "input_fit"}
    with pytest.raises(UsageError, match="training data were given, and no step") as refused:
        retrofit(trained(), [{"kind": "set_alpha", "alpha": 0.1}], data=examples(), training=TRAINING)
    assert [kind for kind in overriding if f" {kind}" not in str(refused.value)] == []
