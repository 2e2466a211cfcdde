"""The probe that compares data with a reference: what it says, what to run then, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import Outputs, Recipe, ShiftReference, deliver, open_model, probe, retrofit, shift_reference
from calibrate.engine.inputs import reference as references
from calibrate.errors import DataError, ModelError, UsageError
from calibrate.recipe import PRESETS
from calibrate.result import reference_path
from calibrate.steps import FieldShift, NotApplicable, ProbeFieldShift, ProbeResult, Reestimate, SetAlpha, Temperature
from tests.builders.examples import Example, examples, holdout, trained
from tests.builders.networks import factory, grouped, warmed_up
from tests.builders.runs import codes, planned

TRUSTED = examples(120, seed=5)


def moved(by: float, n: int = 60, seed: int = 6, scale: float = 1.0) -> list[Example]:
    return [(scale * x + by, y) for x, y in examples(n, seed)]


def unlabelled(data: list[Example], path: Path) -> Path:
    np.savez(path, x=np.stack([x.numpy() for x, _ in data]))
    return path


def told(data: Any, **settings: Any) -> FieldShift:
    found = probe(trained(), "field_shift", data, **settings)
    assert isinstance(found, FieldShift)
    return found


def test_data_of_the_same_kind_show_no_shift_and_others_do() -> None:
    same, other = told(moved(0), training=TRUSTED), told(moved(1.5), training=TRUSTED)
    assert (same.shifted, same.recipe) == (False, None)
    assert same.shift <= same.shift_by_chance
    assert same.misfit <= same.misfit_by_chance
    assert (other.shifted, other.recipe) == (True, "statistics")
    assert (other.images, other.reference_images, other.band_images) == (60, 120, 32)
    assert "60 examples have shifted" in other.words()
    assert "`afternorm calibrate --recipe statistics`" in other.words()


def test_a_reference_tells_what_its_data_tell() -> None:
    reference = shift_reference(trained(), TRUSTED)
    again = ShiftReference.model_validate_json(reference.model_dump_json())
    assert again == reference
    assert [band.examples for band in again.bands] == [16, 32, 64, 120]
    assert told(moved(1.5), reference=again) == told(moved(1.5), training=TRUSTED)


def test_without_labels_the_recipe_is_one_that_needs_none(tmp_path: Path) -> None:
    bare = unlabelled(moved(1.5), tmp_path / "bare.npz")
    assert told(bare, training=TRUSTED).recipe == "quick"


def test_both_halves_are_looked_at_and_of_many_a_draw() -> None:
    step = Recipe(steps=[ProbeFieldShift()])
    summary = retrofit(trained(), step, data=moved(1.5), training=TRUSTED).summary
    assert summary.of(FieldShift)[0].images == 60
    assert summary.shifted is True
    assert "field-shift" in codes(summary)
    many = retrofit(trained(), step, data=moved(0.0, 200), training=TRUSTED[:50]).summary
    assert (many.of(FieldShift)[0].images, many.of(FieldShift)[0].band_images) == (50, 50)
    assert (many.shifted, many.of(FieldShift)[0].drawn_from, summary.of(FieldShift)[0].drawn_from) == (False, 200, None)
    assert many.of(FieldShift)[0].words().startswith("50 of 200 examples, drawn as many as the reference has, show no")
    assert "field-shift" not in codes(many)
    assert retrofit(trained(), Recipe(steps=[SetAlpha(alpha=0.1)]), data=examples()).summary.shifted is None


def test_sick_statistics_are_to_be_repaired() -> None:
    model = trained()
    model[4].running_var.fill_(torch.nan)
    found = probe(model, "field_shift", moved(1.5), training=TRUSTED)
    assert isinstance(found, FieldShift)
    assert (found.shifted, found.recipe) == (True, "repair")
    assert {"repair", "quick", "statistics"} <= {*PRESETS}
    assert [layer.name for layer in found.layers] == ["1", "4"]


def test_inputs_that_became_nan_have_shifted_by_the_largest_number() -> None:
    sound = shift_reference(trained(), TRUSTED)
    found = told([(x * torch.nan, y) for x, y in moved(0)], reference=sound)
    assert found.shifted
    assert (found.shift, found.misfit) == (1e9, 1e9)


def test_an_example_among_others_that_is_nan_is_named_and_no_shift() -> None:
    bad = [(x if i != 7 else x * torch.nan, y) for i, (x, y) in enumerate(moved(0))]
    with pytest.raises(DataError, match="1 of 60 examples, such as example 7 of list, are infinite or not a number"):
        told(bad, reference=shift_reference(trained(), TRUSTED))


def test_where_the_preprocessing_is_the_reference_s_own_the_images_have_changed() -> None:
    """Statistics of other images fit another preparation; but how these were prepared did not change."""
    sound = shift_reference(trained(), TRUSTED)
    found = told([(255 * x, y) for x, y in moved(0)], reference=sound)
    assert (found.prepared_otherwise, found.recipe, found.preprocessing) == (False, "statistics", None)


def test_a_network_that_a_step_before_changed_is_not_that_of_the_reference() -> None:
    recipe = Recipe(steps=[Reestimate(), ProbeFieldShift()])
    summary = retrofit(trained(), recipe, data=examples(), training=TRUSTED).summary
    (found,) = summary.of(ProbeResult)
    assert isinstance(found, NotApplicable)
    assert "changed the network" in found.reason
    assert summary.shifted is None


def test_what_cannot_be_compared_is_refused_with_the_next_move() -> None:
    reference = shift_reference(trained(), TRUSTED)
    step = Recipe(steps=[ProbeFieldShift()])
    with pytest.raises(UsageError, match=r"no reference .*--training-data.*--accept"):
        planned(trained(), step, moved(0))
    with pytest.raises(ModelError, match=r"belongs to a network of other weights; name this network's"):
        probe(trained(1), "field_shift", moved(0), reference=reference)
    for few, trusted in ((moved(0)[:15], TRUSTED), (moved(0), TRUSTED[:15])):
        with pytest.raises(DataError, match="15 examples are too few to tell a shift from chance, 16 at least"):
            probe(trained(), "field_shift", few, training=trusted)
    with pytest.raises(DataError, match="15 examples are too few"):
        shift_reference(trained(), TRUSTED[:15])
    for model in (warmed_up(grouped()), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))):
        with pytest.raises(ModelError, match="no layers that keep running statistics"):
            probe(model, "field_shift", moved(0), training=TRUSTED)


def test_a_tuned_file_has_a_reference_beside_it_of_the_holdout_half(tmp_path: Path) -> None:
    outcome = retrofit(
        trained(),
        Recipe(steps=[Reestimate(), SetAlpha(alpha=0.1), Temperature()]),
        data=examples(),
        architecture=factory(trained),
    )
    deliver(outcome, trained(), tmp_path, Outputs(formats=("safetensors",)))
    path = reference_path(tmp_path / "tuned.safetensors")
    reference = references.read_reference(path)
    x, y = holdout()
    again = shift_reference(outcome.model, list(zip(x, y.tolist(), strict=True)))
    assert (reference.layers, reference.bands, reference.weights) == (again.layers, again.bands, again.weights)
    reopened = open_model(tmp_path / "tuned.safetensors", model=trained()).model
    for by in (0.0, 1.5):
        found = probe(reopened, "field_shift", moved(by), reference=reference)
        assert isinstance(found, FieldShift)
        assert found.shifted is (by > 0)


def test_where_no_reference_can_be_made_the_network_is_written_and_a_finding_says_why(tmp_path: Path) -> None:
    outcome = retrofit(trained(), Recipe(steps=[SetAlpha(alpha=0.1)]), data=examples(30))
    delivery = deliver(outcome, trained(), tmp_path, Outputs(formats=("safetensors",)))
    assert "tuned.reference.json" not in {path.name for path in delivery.files}
    (finding,) = [item for item in delivery.summary.findings if item.code == "no-reference"]
    assert finding.severity == "info"
    assert "15 examples are too few" in finding.message
    only_onnx = deliver(outcome, trained(), tmp_path / "onnx", Outputs(formats=("onnx",), latency_runs=0))
    assert "no-reference" not in codes(only_onnx.summary)


def test_a_reference_takes_no_more_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MEMORY", 16 * 12 * 40)  # of 4 and 8 channels
    assert shift_reference(trained(), TRUSTED).examples == 40
    monkeypatch.setattr(references, "MOST_EXAMPLES", 20)
    assert shift_reference(trained(), TRUSTED).examples == 20
