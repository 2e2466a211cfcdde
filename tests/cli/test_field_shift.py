"""Knowing when to come back: a reference beside the tuned file, exit 6 where field data have shifted, --accept."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibrate import Summary
from calibrate.demo import DemoInputs
from calibrate.steps import FieldShift
from tests.builders.commands import SHAPE, Ran, demo_options


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory, demo_inputs: DemoInputs) -> dict[str, Path]:
    """Data without labels: half of the scanned digits, the other half, and digits as they are."""
    folder = tmp_path_factory.mktemp("field")
    scanned, clean = (np.load(path)["x"] for path in (demo_inputs.scanned, demo_inputs.digits))
    order = np.random.default_rng(0).permutation(len(scanned))
    places = {}
    for name, x in (("first", scanned[order[::2]]), ("second", scanned[order[1::2]]), ("other", clean[:200])):
        places[name] = folder / f"{name}.npz"
        np.savez(places[name], x=x)
    return places


def test_a_tuned_file_knows_its_data_and_exits_6_on_others(
    demo_inputs: DemoInputs, field: dict[str, Path], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    out = tmp_path / "tuned"
    ran = afternorm(
        "calibrate", *demo_options(demo_inputs), "--recipe", "adabn", "--formats", "safetensors", "--out", out
    )
    assert ran.code == 0, ran.err
    assert (out / "tuned.reference.json").exists()
    probing = ("probe", "--model", out / "tuned.safetensors", "--require", "no-shift", "--out", tmp_path / "probed")
    same = afternorm(*probing, "--data", field["second"], "--json")
    assert same.code == 0, same.err
    assert Summary.model_validate_json(same.out).shifted is False
    other = afternorm(*probing, "--data", field["other"], "--json")
    assert other.code == 6
    assert "--require no-shift was given, and 200 examples have shifted: their estimation shift" in other.err
    assert "`afternorm calibrate --recipe quick`" in other.err
    (outcome,) = json.loads(other.out)["outcomes"]
    assert (outcome["kind"], outcome["shifted"], outcome["recipe"]) == ("field_shift", True, "quick")
    assert (tmp_path / "probed" / "report.html").exists()


def test_data_that_were_looked_at_become_the_reference(
    demo_inputs: DemoInputs, field: dict[str, Path], afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    model = tmp_path / "digits.safetensors"
    model.write_bytes(demo_inputs.checkpoint.read_bytes())
    given = (*demo_options(demo_inputs)[2:-4], *SHAPE, "--model", model, "--out", tmp_path / "out")
    required = ("probe", *given, "--require", "no-shift", "--data")
    nothing = afternorm(*required, field["first"])
    assert nothing.code == 2
    assert "there is no reference" in nothing.err
    assert "--accept" in nothing.err
    accepted = afternorm("probe", *given, "--accept", "--data", field["first"])
    assert accepted.code == 0, accepted.err
    assert f"wrote {tmp_path / 'digits.reference.json'}" in accepted.err
    assert "Input fit" in accepted.out
    assert [afternorm(*required, field[name]).code for name in ("second", "other")] == [0, 6]
    elsewhere = tmp_path / "other.json"
    assert afternorm("probe", *given, "--accept", "--data", field["other"], "--reference", elsewhere).code == 0
    assert afternorm(*required, field["other"], "--reference", elsewhere).code == 0
    trained_on = afternorm(*required, field["second"], "--training-data", demo_inputs.digits)
    assert trained_on.code == 6  # training data go before the file
    (tmp_path / "digits.reference.json").write_text("{}")
    broken = afternorm(*required, field["second"])
    assert broken.code == 2
    assert "is not a reference" in broken.err


def test_where_it_cannot_be_told_nothing_is_claimed(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    recipe = "{steps: [{kind: reestimate}, {kind: field_shift}]}"
    given = (*demo_options(demo_inputs), "--training-data", demo_inputs.scanned, "--out", tmp_path / "out")
    ran = afternorm("calibrate", *given, "--recipe", recipe, "--require", "no-shift")
    assert ran.code == 2
    assert "cannot be told whether the data have shifted: the steps before changed the network" in ran.err
    assert not (tmp_path / "out" / "tuned.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--require", "no-shift", "--accept"), "leave one out"),
        (("--require", "improved"), "compares no networks, so there is no verdict"),
        (("--require", "no-shift", "--recipe", "probe"), "add the step {kind: field_shift}"),
        (("--require", "no-shift", "--reference", "nowhere.json"), "nowhere.json cannot be read: No such file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...], said: str, demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = afternorm("probe", *demo_options(demo_inputs), *options, "--out", tmp_path / "out")
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


def test_inputs_and_statistics_are_required_to_be_sound_of_a_probe_too(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    wrong = json.loads(SHAPE[1]) | {"mean": [30.0], "std": [0.01]}
    given = (*demo_options(demo_inputs)[:-2], "--recipe", "{steps: [{kind: channel_health}]}", "--require", "sound")
    for shape, code in ((SHAPE[1], 0), (json.dumps(wrong), 6)):
        ran = afternorm("probe", *given, "--preprocessing", shape, "--out", tmp_path / "out")
        assert ran.code == code, ran.err


def test_preprocessing_that_labels_prove_to_be_wrong_is_what_to_change(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    given = demo_options(demo_inputs, demo_inputs.digits)
    reference = ("--reference", tmp_path / "right.json", "--out", tmp_path / "out", "--json")
    assert afternorm("probe", *given, *reference, "--accept").code == 0
    black = "{channels: 1, mean: [0.0], std: [0.003921568627]}"  # 0 to 255
    ran = afternorm("probe", *given[:-1], black, *reference, "--require", "no-shift")
    assert ran.code == 6
    (found,) = Summary.model_validate_json(ran.out).of(FieldShift)
    assert found.prepared_otherwise
    assert (found.recipe, found.preprocessing) == (None, "auto")
    assert "prepared otherwise than the reference's data" in ran.err
    assert "--preprocessing auto" in ran.err
