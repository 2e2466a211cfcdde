"""What version 97bd6f0 left behind is read: summaries, a batch's finished runs, tuned files, finished passes.

The files in ``version_1`` were written by it, of its demo and of CIFAR images; only white space was taken out.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from calibrate import Preprocessing, open_model
from calibrate.batch.cells import read_cells
from calibrate.batch.record import Record, write_record
from calibrate.batch.run import plan_runs
from calibrate.data import open_data
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, DemoInputs
from calibrate.engine.trials.store import learning_key, trial_key
from calibrate.recipe import Recipe
from calibrate.result import FineTuned, Summary, digest_of
from calibrate.steps import Leaderboard, TuneAffine

FOLDER = Path(__file__).parent / "version_1"
KINDS = {
    "everything": [
        "adapt", "reestimate", "estimation_shift", "search_alpha", "tune_affine", "label_free_alpha", "learn_alpha",
        "reestimate", "output_bound", "channel_health", "statistic_noise", "measure",
    ],
    "auto": ["auto", "reestimate", "measure"],
    "auto_affine": ["auto", "search_alpha", "tune_affine", "measure"],
    "adaptation": ["adaptation", "corruptions"],
}  # fmt: skip
FORM = {"channels_last": False, "folds": False, "autocast": None}
RESULTS = (
    "search",
    "measurement",
    "answers",
    "leaderboard",
    "reestimations",
    "probes",
    "kept",
    "learned",
    "label_free",
)


def stored(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [number for item in inner for number in numbers(item)]
    return [value] if isinstance(value, float) else []


def without_new_fields(new: Any, old: Any) -> Any:
    """``new`` without fields that a preprocessing and an environment have had only since, each as it is by itself."""
    if isinstance(new, dict) and isinstance(old, dict):
        for mark, usual in (("resize", Preprocessing().model_dump()), ("platform", FORM)):
            if mark not in new:
                continue
            since = new.keys() - old.keys()
            assert {name: new[name] for name in since} == {name: usual[name] for name in since}
            new = {name: value for name, value in new.items() if name in old}
        return {name: without_new_fields(value, old.get(name)) for name, value in new.items()}
    return new


@pytest.mark.parametrize("name", KINDS)
def test_a_summary_is_read_with_all_its_results_in_the_order_of_the_recipe(name: str) -> None:
    old = stored(name)
    new = Summary.model_validate_json(json.dumps(old))
    assert (old["version"], new.version) == (1, 2)
    assert [outcome.kind for outcome in new.outcomes] == KINDS[name]
    document = json.loads(new.model_dump_json())
    assert sorted(set(numbers([old.get(field) for field in RESULTS]))) == sorted(
        set(numbers(document["outcomes"])) | set(numbers(old["leaderboard"]["recipe"] if old["leaderboard"] else None))
    )
    assert new.recipe == Recipe.model_validate(old["recipe"])
    for field in new.model_fields_set - {"version", "outcomes", "artifacts", "serving", "recipe"}:
        assert without_new_fields(document[field], old[field]) == old[field]
    assert Summary.model_validate(document) == new


def test_the_network_that_came_is_called_original_and_other_names_stay() -> None:
    old = stored("auto")
    old["answers"]["classes"][0]["name"] = old["data"]["source"] = old["layers"][0]["name"] = "plain"
    new = Summary.model_validate(old)
    board, measured = new.last(Leaderboard), new.measurement
    assert board is not None
    assert measured is not None
    assert measured.changes is not None
    assert [row.name for row in board.rows][:2] == ["original", "T"]
    assert [arm.arm for arm in measured.arms] == ["original", "T", "tuned", "tuned+T"]
    assert {item.baseline for item in measured.differences} == {"original", "T"}
    assert set(measured.reliability) == {"original", "T", "tuned", "tuned+T"}
    assert (measured.changes.classes[0].name, new.data.source, new.layers[0].name) == ("plain", "plain", "plain")


def test_a_candidate_may_have_had_the_name_that_the_original_network_has_now() -> None:
    old = json.loads(json.dumps(stored("auto")).replace('"re-estimated"', '"original"'))
    board = Summary.model_validate(old).last(Leaderboard)
    assert board is not None
    assert [row.name for row in board.rows][:3] == ["original", "T", "original (candidate)"]
    assert board.recommended == "original (candidate)"
    assert [outcome.kind for outcome in Summary.model_validate(old).outcomes] == KINDS["auto"]


@pytest.mark.parametrize("version", [1, True, 1.0, "1"])
def test_what_only_says_that_it_is_of_version_1_is_no_summary(version: object) -> None:
    document = json.loads(Summary.model_validate(stored("everything")).model_dump_json())
    with pytest.raises(ValidationError):
        Summary.model_validate(document | {"version": version})


@pytest.mark.parametrize(
    "gone", ["recipe", "model", "measurement", "leaderboard.domains", "leaderboard.standings", "probes.kind"]
)
def test_a_damaged_one_is_no_summary(gone: str) -> None:
    old = stored("adaptation" if "probes" in gone else "auto")
    inner: Any = old
    *way, last = gone.split(".")
    for key in way:
        inner = inner[key]
    (inner[0] if isinstance(inner, list) else inner).pop(last)
    with pytest.raises(ValidationError):
        Summary.model_validate_json(json.dumps(old))


def test_a_fine_tuning_is_read() -> None:
    old = stored("finetuned")
    new = FineTuned.model_validate_json(json.dumps(old))
    assert (old["version"], new.version) == (1, 2)
    assert [arm.arm for arm in new.measurement.arms] == ["original", "tuned"]
    assert numbers(json.loads(new.model_dump_json())) == numbers(old)
    with pytest.raises(ValidationError):
        FineTuned.model_validate({name: value for name, value in old.items() if name != "measurement"})


def test_a_run_of_an_interrupted_batch_counts_as_finished(demo_inputs: DemoInputs, tmp_path: Path) -> None:
    network = {"model": str(demo_inputs.checkpoint), "architecture": ARCHITECTURE}
    document = {
        "models": {"digits": network | {"architecture_args": ARCHITECTURE_ARGS}},
        "datasets": {"scanned": {"data": str(demo_inputs.scanned)}},
        "recipes": {"auto": "auto", "alpha": "alpha", "adabn": "adabn"},
    }
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(document))
    cells = read_cells(manifest)
    old = stored("auto") | {"artifacts": []}
    for run in plan_runs(cells, tmp_path):
        run.folder.mkdir(parents=True)
        (run.folder / "summary.json").write_text(json.dumps(old, indent=2))
        whole = digest_of(old)
        result = "0" * 64 if run.cell.names[2] == "alpha" else whole
        write_record(run.folder, Record(request=run.request, exit_code=0, result=result, error=""))
    finished, of_another, damaged = plan_runs(cells, tmp_path)
    assert finished.summary == Summary.model_validate(old)
    assert of_another.summary is None
    assert damaged.summary is not None
    shutil.copy(FOLDER / "adaptation.json", damaged.folder / "summary.json")
    assert plan_runs(cells, tmp_path)[2].summary is None


def test_the_digest_of_a_stored_summary_is_what_its_version_said() -> None:
    """The tuned file beside it names the digest of its summary."""
    assert digest_of(stored("everything")) == json.loads(metadata()["afternorm"])["summary_digest"]


def metadata() -> dict[str, str]:
    told: dict[str, str] = json.loads((FOLDER / "tuned-metadata.json").read_text())
    return told


def test_a_tuned_file_reopens(demo_inputs: DemoInputs, tmp_path: Path) -> None:
    state = load_file(demo_inputs.checkpoint)
    layers = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    alphas = {f"{layer}.alpha": torch.tensor(0.125 / (place + 1)) for place, layer in enumerate(layers)}
    save_file(state | alphas, tmp_path / "tuned.safetensors", metadata())
    opened = open_model(tmp_path / "tuned.safetensors")
    assert opened.provenance is not None
    assert opened.architecture == ARCHITECTURE
    found = opened.model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in (state | alphas).items())


def test_finished_passes_keep_their_keys() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) / 8)
    source = open_data([(torch.full((1, 4, 4), float(i)), i % 2) for i in range(6)], preprocessing=None)
    rows = np.array([0, 2, 5])
    assert trial_key(model, source, rows) == "7699efc296322f0af820d8a3dc5bc9cb7397b86203d8fce202ba63982c17c180"
    learned = learning_key(model, source, rows, TuneAffine(epochs=3))
    assert learned == "8b80c1393574634b021ebd4777bb07b4cce6cba52f6dfbdda5159429cca227ae"
