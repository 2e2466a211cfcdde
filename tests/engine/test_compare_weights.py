"""What tells the weights of arms apart: counted from the networks themselves, and only where they start alike."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from calibrate.engine import fine_tune
from calibrate.engine.finetuning.training import FineTuneOutcome
from calibrate.engine.finetuning.weight_differences import compare_weights
from calibrate.recipe import FineTuning
from calibrate.result import FineTuned
from tests.builders.fine_tuning import maps, model_of

#: Without a validation split the last epoch is kept, so that the network has the weights of the last record.
BASE: dict[str, Any] = {"batch_size": 8, "validation": 0, "histograms": "epoch", "phases": [{"epochs": 2, "lr": 0.1}]}
LONGER: dict[str, Any] = {**BASE, "phases": [{"epochs": 3, "lr": 0.3}]}


@cache
def tuned(longer: bool) -> FineTuneOutcome:
    return fine_tune(model_of(4), FineTuning.model_validate(LONGER if longer else BASE), data=maps())


def with_layers(result: FineTuned, *names: str) -> FineTuned:
    """The first layer's record under each of the names."""
    layers = tuple(result.histograms[0].model_copy(update={"name": name}) for name in names)
    return result.model_copy(update={"histograms": layers})


def test_counts_are_those_of_the_networks_after_their_own_trainings() -> None:
    arm, base = tuned(longer=True), tuned(longer=False)
    layers = compare_weights(arm.result, base.result)
    assert [layer.name for layer in layers] == [layer.name for layer in base.result.histograms][:3]
    for layer in layers:
        mine, theirs = (
            one.model.get_parameter(f"{layer.name}.weight").detach().double().numpy().ravel() for one in (arm, base)
        )
        edges = np.linspace(layer.low, layer.high, len(layer.counts) + 1)
        counts = [np.histogram(np.clip(values, layer.low, layer.high), edges)[0] for values in (mine, theirs)]
        assert layer.counts == tuple(counts[0] - counts[1])
        assert layer.weights == mine.size
        assert layer.moved == pytest.approx((mine.size - np.minimum(*counts).sum()) / mine.size)
        assert (len(layer.variances), len(layer.baseline_variances)) == (4, 3)
        assert layer.variances[0] == layer.baseline_variances[0]
        assert layer.variances[-1] == pytest.approx(mine.var())
        assert layer.baseline_variances[-1] == pytest.approx(theirs.var())
    assert any(layer.moved for layer in layers)


def test_a_training_does_not_differ_from_itself() -> None:
    result = tuned(longer=False).result
    for layer in compare_weights(result, result):
        assert (layer.moved, set(layer.counts)) == (0, {0})
        assert layer.variances == layer.baseline_variances


@pytest.mark.parametrize(
    ("names", "kept"), [("abcdefg", "adg"), ("abcd", "acd"), ("abc", "abc"), ("ab", "ab"), ("a", "a"), ("", "")]
)
def test_the_first_the_middle_and_the_last_are_kept(names: str, kept: str) -> None:
    result = with_layers(tuned(longer=False).result, *names)
    assert "".join(layer.name for layer in compare_weights(result, result)) == kept


def test_layers_of_one_arm_alone_or_of_other_weights_are_left_out() -> None:
    first = with_layers(tuned(longer=False).result, "a", "b", "c")
    wider = first.histograms[1].model_copy(update={"low": -9.0, "high": 9.0})
    drawn = first.histograms[2].model_copy(update={"variances": (7.0, *first.histograms[2].variances[1:])})
    other = first.model_copy(update={"histograms": (first.histograms[0], wider, drawn)})
    assert [layer.name for layer in compare_weights(other, first)] == ["a"]
    assert [layer.name for layer in compare_weights(first, with_layers(first, "x", "b"))] == ["b"]


@pytest.mark.parametrize(
    "changed", [{"histograms": "none"}, {"histograms": "step"}, {"layers": [{"kind": "initialise"}]}]
)
def test_arms_recorded_otherwise_or_begun_elsewhere_are_not_compared(changed: dict[str, Any]) -> None:
    other = fine_tune(model_of(4), FineTuning.model_validate({**BASE, **changed}), data=maps()).result
    assert compare_weights(other, tuned(longer=False).result) == ()
    assert compare_weights(tuned(longer=False).result, other) == ()
