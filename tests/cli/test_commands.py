"""The commands as a user runs them, on the demo's network and digits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from calibrate import Recipe, Summary, open_model
from calibrate.data import split
from calibrate.demo import PREPROCESSING, DemoInputs
from calibrate.demo.digits import held_out_digits
from calibrate.io import build
from calibrate.recipe import STEP_KINDS
from calibrate.steps import EstimationShift, ProbeResult, Reestimation
from tests.builders.commands import NETWORK, Ran, demo_options


@pytest.fixture
def shape(tmp_path: Path) -> tuple[str, str]:
    path = tmp_path / "preprocessing.json"
    path.write_text(PREPROCESSING.model_dump_json())
    return "--preprocessing", str(path)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, demo_inputs: DemoInputs) -> tuple[Path, Summary]:
    """One run for all tests here that look at what it left."""
    out = tmp_path_factory.mktemp("tuned")
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("afternorm"), "calibrate", *demo_options(demo_inputs),
            "--alpha", "0.2", "--out", out, "--json", "--threads", "1",
        ],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return out, Summary.model_validate_json(ran.stdout)


def test_calibrate_writes_everything_and_prints_what_it_wrote(tuned: tuple[Path, Summary]) -> None:
    out, summary = tuned
    names = {path.name for path in out.iterdir()}
    assert names == {
        "tuned.safetensors", "tuned.onnx", "tuned.reference.json",
        "report.html", "report.md", "report.txt", "summary.json",
    }  # fmt: skip
    assert Summary.model_validate_json((out / "summary.json").read_text()) == summary
    assert [(item.name, item.bytes) for item in summary.artifacts] == [
        (name, (out / name).stat().st_size) for name in ("tuned.safetensors", "tuned.onnx")
    ]
    assert {site.alpha for site in summary.changes.sites} == {0.2}
    assert summary.verdict == "improved"
    assert [item.batch_size for item in summary.artifacts[1].parity] == [1, 3, 64]


def test_the_weights_of_a_file_that_were_taken_are_named_and_others_chosen(
    tmp_path: Path, demo_inputs: DemoInputs, shape: tuple[str, str], afternorm: Callable[..., Ran]
) -> None:
    state = load_file(demo_inputs.checkpoint)
    last = {name: torch.zeros_like(tensor) if "linear" in name else tensor for name, tensor in state.items()}
    torch.save({"state_dict": last, "state_dict_ema": state}, tmp_path / "both.pth.tar")
    given = ("--model", tmp_path / "both.pth.tar", *NETWORK, "--data", demo_inputs.digits, *shape, "--threads", 1)
    first = Summary.model_validate_json(afternorm("evaluate", *given, "--json").out)
    [finding] = [finding for finding in first.findings if finding.code == "weights-taken"]
    assert "taken from state_dict; others in the file fit too: state_dict_ema" in finding.message
    chosen = Summary.model_validate_json(afternorm("evaluate", *given, "--weights", "ema", "--json").out)
    [finding] = [finding for finding in chosen.findings if finding.code == "weights-taken"]
    assert "taken from state_dict_ema" in finding.message
    assert first.measurement is not None
    assert chosen.measurement is not None
    scores = [item.arms[0].metrics["top1"].value for item in (first.measurement, chosen.measurement)]
    assert scores[0] < 0.2 < 0.9 < scores[1]
    fields = json.loads(afternorm("inspect", *given[:6], "--weights", "ema", "--json").out)
    assert (fields["weights"], fields["other_weights"]) == ("state_dict_ema", ["state_dict"])
    wrong = afternorm("inspect", *given[:6], "--weights", "swa")
    assert wrong.code == 2
    assert "choose one of: state_dict, state_dict_ema" in wrong.err.replace("\n", " ")


def test_a_tuned_file_reopens_tuned_and_agrees_with_its_onnx(tuned: tuple[Path, Summary]) -> None:
    out, summary = tuned
    opened = open_model(out / "tuned.safetensors")
    assert opened.provenance is not None
    assert opened.provenance.summary_digest == summary.digest
    assert opened.provenance.recipe.digest == summary.recipe_digest
    images, labels = held_out_digits()
    x = torch.from_numpy(images[:50, None] / 255.0 - PREPROCESSING.mean[0]).float() / PREPROCESSING.std[0]
    with torch.inference_mode():
        logits = opened.model(x)
    session = onnxruntime.InferenceSession(out / "tuned.onnx", providers=["CPUExecutionProvider"])
    served = session.run(None, {"input": x.numpy()})[0]
    np.testing.assert_allclose(served, logits.numpy(), atol=2e-5 * float(logits.abs().max()))
    assert (served.argmax(1) == labels[:50]).mean() > 0.9


def test_evaluate_measures_a_tuned_file_on_the_half_nothing_was_chosen_on(
    tuned: tuple[Path, Summary], demo_inputs: DemoInputs, afternorm: Callable[..., Ran]
) -> None:
    out, summary = tuned
    ran = afternorm(
        "evaluate", "--model", out / "tuned.safetensors", "--data", demo_inputs.scanned, "--json", "--threads", 1
    )
    assert ran.code == 0, ran.err
    again = Summary.model_validate_json(ran.out)
    assert again.measurement is not None
    assert summary.measurement is not None
    assert [arm.arm for arm in again.measurement.arms] == ["original", "T"]
    before, after = summary.measurement.arm("alpha+T"), again.measurement.arm("original")
    assert after.metrics["top1"] == before.metrics["top1"]
    assert after.metrics["nll"].value == pytest.approx(before.metrics["nll"].value, rel=1e-5)
    assert again.measurement.arm("T").temperature == pytest.approx(1, abs=1e-3)


def test_inspect_tells_plain_from_tuned(
    tuned: tuple[Path, Summary], demo_inputs: DemoInputs, afternorm: Callable[..., Ran]
) -> None:
    plain = json.loads(afternorm("inspect", "--model", demo_inputs.checkpoint, *NETWORK, "--json").out)
    assert plain["tuned"] is None
    assert [site["alpha"] for site in plain["sites"]] == [None] * 7
    again = json.loads(afternorm("inspect", "--model", tuned[0] / "tuned.safetensors", "--json").out)
    assert [site["alpha"] for site in again["sites"]] == [0.2] * 7
    assert again["tuned"]["temperature"] == tuned[1].changes.temperature
    text = afternorm("inspect", "--model", tuned[0] / "tuned.safetensors").out
    assert "7 normalisation layers" in text
    assert text.count("α = 0.2") == 7


def test_inspect_says_what_each_layer_sees_where_the_input_size_is_known(
    afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    torch.save({"state_dict": build("cifar/resnet8", {}).state_dict()}, tmp_path / "fresh.pth")
    fields = json.loads(
        afternorm("inspect", "--model", tmp_path / "fresh.pth", "--architecture", "cifar/resnet8", "--json").out
    )
    assert fields["outputs"] == 10
    assert [site["positions"] for site in fields["sites"]] == [1024, 1024, 1024, 256, 256, 64, 64]


@pytest.mark.parametrize("with_data", [True, False])
def test_export_writes_a_tuned_file_as_onnx_again(
    with_data: bool,
    tuned: tuple[Path, Summary],
    demo_inputs: DemoInputs,
    afternorm: Callable[..., Ran],
    tmp_path: Path,
) -> None:
    data = (
        ("--data", demo_inputs.digits)
        if with_data
        else ("--preprocessing", "{channels: 1, mean: [0], std: [1], crop: 8}")
    )
    target = tmp_path / "again.onnx"
    ran = afternorm("export", "--model", tuned[0] / "tuned.safetensors", *data, "--out", target, "--json")
    assert ran.code == 0, ran.err
    parity = json.loads(ran.out)["parity"]
    assert [(item["batch_size"], item["inputs"]) for item in parity] == [
        (size, "data" if with_data else "noise") for size in (1, 3, 64)
    ]
    assert target.stat().st_size > 0


@pytest.mark.parametrize("command", ["calibrate", "evaluate"])
def test_a_dry_run_checks_and_writes_nothing(
    command: str, demo_inputs: DemoInputs, afternorm: Callable[..., Ran], shape: tuple[str, str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    ran = afternorm(
        command, "--model", demo_inputs.checkpoint, *NETWORK, "--data", demo_inputs.digits, *shape, "--dry-run",
        *(("--out", tmp_path / "never") if command == "calibrate" else ()),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    planned = json.loads(ran.out)
    assert (planned["n"], planned["outputs"], planned["sites"]) == (899, 10, 7)
    assert planned["calibration"] + planned["holdout"] == 899
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("require", "code"), [("improved", 6), ("not-worse", 0)])
def test_the_gate_writes_no_network_without_the_verdict(
    require: str,
    code: int,
    demo_inputs: DemoInputs,
    afternorm: Callable[..., Ran],
    shape: tuple[str, str],
    tmp_path: Path,
) -> None:
    """A tiny α on digits as they are proves nothing either way."""
    ran = afternorm(
        "calibrate", "--model", demo_inputs.checkpoint, *NETWORK, "--data", demo_inputs.digits, *shape,
        "--alpha", 0.0001, "--out", tmp_path / "out", "--formats", "safetensors", "--require", require, "--json",
    )  # fmt: skip
    assert ran.code == code, ran.err
    assert json.loads(ran.out)["verdict"] == "no evidence"
    assert (tmp_path / "out" / "tuned.safetensors").exists() == (code == 0)
    assert (tmp_path / "out" / "report.html").exists()


def test_a_recipe_file_and_the_seed_decide(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], shape: tuple[str, str], tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps:\n  - {kind: set_alpha, alpha: 0.1, sites: ['layer1.*']}\n  - {kind: measure}\n")
    ran = afternorm(
        "calibrate", "--model", demo_inputs.checkpoint, *NETWORK, "--data", demo_inputs.digits, *shape,
        "--recipe", recipe, "--seed", 7, "--formats", "safetensors", "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    summary = Summary.model_validate_json(ran.out)
    assert summary.recipe.seed == 7
    assert {site.names[0] for site in summary.changes.sites if site.alpha} == {"layer1.0.bn1", "layer1.0.bn2"}
    assert summary.changes.temperature == 1


def test_training_data_are_prepared_as_the_data_are(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], shape: tuple[str, str], tmp_path: Path
) -> None:
    """Clean digits for the network that reads scanned ones; without them, layer 0 has nothing to compare with."""
    given = ("--model", demo_inputs.checkpoint, *NETWORK, "--data", demo_inputs.scanned, *shape, "--json")
    given = (*given, "--training-data", demo_inputs.digits, "--out", tmp_path / "out")
    ran = afternorm("probe", *given)
    summary = Summary.model_validate_json(ran.out)
    found = summary.of(ProbeResult)[0]
    assert isinstance(found, EstimationShift)
    assert found.input is not None
    unit, seen = held_out_digits()[0] / 255, np.load(demo_inputs.scanned)["x"][np.sort(_holdout(demo_inputs))] / 255
    assert found.input.images == len(unit)
    assert found.input.mean == pytest.approx(abs(unit.mean() - seen.mean()) / PREPROCESSING.std[0], rel=1e-5)
    assert found.input.deviation == pytest.approx(abs(unit.std() - seen.std()) / PREPROCESSING.std[0], rel=1e-5)
    ran = afternorm("calibrate", *given, "--recipe", "precise_bn", "--formats", "safetensors")
    summary = Summary.model_validate_json(ran.out)
    assert summary.of(Reestimation)[0].on == "training"
    assert summary.data.training is not None
    assert (summary.data.training.source, summary.data.training.n) == (str(demo_inputs.digits), 899)


def test_images_without_labels_are_probed(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], shape: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    for number, pixels in enumerate(np.load(demo_inputs.scanned)["x"][:60]):
        Image.fromarray(pixels).save(tmp_path / "target" / f"{number:03}.png")
    ran = afternorm(
        "probe", "--model", demo_inputs.checkpoint, *NETWORK, "--data", tmp_path / "target", *shape, "--json",
        "--recipe", "{steps: [{kind: estimation_shift}]}", "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    summary = Summary.model_validate_json(ran.out)
    assert (summary.data.n, summary.data.classes_present) == (60, 0)
    assert [type(found) for found in summary.of(ProbeResult)] == [EstimationShift]


def _holdout(inputs: DemoInputs) -> NDArray[np.int64]:
    return split(np.load(inputs.scanned)["y"], 0).holdout


@pytest.mark.parametrize(
    "document", ["recipe", "outputs", "preprocessing", "placement", "finetuning", "comparison", "summary"]
)
def test_schemas_are_printed(document: str, afternorm: Callable[..., Ran]) -> None:
    schema = json.loads(afternorm("schema", document).out)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


def test_the_recipe_schema_names_every_step(afternorm: Callable[..., Ran]) -> None:
    schema = json.loads(afternorm("schema", "recipe").out)
    assert set(schema["properties"]["steps"]["items"]["discriminator"]["mapping"]) == set(STEP_KINDS)
    assert Recipe.model_json_schema() == schema


def test_doctor_finds_this_machine_fit(afternorm: Callable[..., Ran]) -> None:
    ran = afternorm("doctor", "--json")
    facts = json.loads(ran.out)
    assert ran.code == 0
    assert facts["missing"] == []
    assert facts["versions"]["torch"] == torch.__version__.partition("+")[0]


BLACK = "{channels: 1, mean: [0.0], std: [0.003921568627]}"  # 0 to 255, which no network here was trained with


def test_inspect_with_data_says_whether_these_are_prepared_as_in_training(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], shape: tuple[str, str]
) -> None:
    given = ("inspect", "--model", demo_inputs.checkpoint, *NETWORK, "--data", demo_inputs.digits, "--threads", 1)
    ran = afternorm(*given, *shape)
    assert ran.code == 0, ran.err
    assert "The inputs fit bn1, the first layer" in ran.out
    assert "64 positions" in ran.out
    wrong = afternorm(*given, "--preprocessing", BLACK, "--json")
    fields = json.loads(wrong.out)
    assert fields["input_fit"]["misfits"]
    assert fields["input_fit"]["proven"]
    assert "The inputs do not fit bn1" in afternorm(*given, "--preprocessing", BLACK).out
    without = afternorm("inspect", "--model", demo_inputs.checkpoint, *NETWORK, *shape)
    assert without.code == 2
    assert "--data" in without.err


@pytest.mark.parametrize(("how", "code"), [("right", 0), ("wrong", 6), ("auto", 0)])
def test_sound_can_be_required(
    how: str, code: int, demo_inputs: DemoInputs, afternorm: Callable[..., Ran], shape: tuple[str, str], tmp_path: Path
) -> None:
    """And a second requirement beside it holds on its own."""
    preprocessing = {"right": shape[1], "wrong": BLACK, "auto": BLACK.replace("{", "{auto: true, ")}[how]
    given = (
        "calibrate", "--model", demo_inputs.checkpoint, *NETWORK, "--data", demo_inputs.digits,
        "--preprocessing", preprocessing, "--recipe", "adabn", "--formats", "safetensors", "--latency-runs", 0,
        "--out", tmp_path / "out", "--threads", 1, "--json",
    )  # fmt: skip
    ran = afternorm(*given, "--require", "sound")
    assert ran.code == code, ran.err
    summary = Summary.model_validate_json(ran.out)
    assert (tmp_path / "out" / "tuned.safetensors").exists() == (code == 0)
    if how == "wrong":
        assert "inputs do not fit" in ran.err
        assert summary.verdict == "improved"
        report = (tmp_path / "out" / "report.txt").read_text()
        assert "A repair, not a gain" in report.split("Verdict")[1].splitlines()[2]
        assert afternorm(*given, "--require", "improved").code == 0
        assert afternorm(*given, "--require", "improved", "--require", "sound").code == 6


def test_auto_alone_sets_out_from_the_preprocessing_of_a_tuned_file(
    tuned: tuple[Path, Summary], demo_inputs: DemoInputs, afternorm: Callable[..., Ran]
) -> None:
    ran = afternorm(
        "evaluate", "--model", tuned[0] / "tuned.safetensors", "--data", demo_inputs.digits,
        "--preprocessing", "auto", "--json", "--threads", 1,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert Summary.model_validate_json(ran.out).data.preprocessing == PREPROCESSING


def test_fine_tuning_takes_no_auto(demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path) -> None:
    ran = afternorm(
        "finetune", "{phases: [{epochs: 1}]}", "--model", demo_inputs.checkpoint, *NETWORK,
        "--data", demo_inputs.digits, "--preprocessing", "auto", "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.code == 2
    assert "inspect --data" in ran.err
