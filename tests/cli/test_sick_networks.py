"""A checkpoint whose statistics are broken, as a user meets it: inspected, repaired, in a batch, as a job."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from calibrate import Summary
from calibrate.demo import PREPROCESSING, DemoInputs
from calibrate.recipe import PRESETS
from tests.builders.commands import NETWORK, Ran, demo_options, write_manifest
from tests.service.worker.server import Server

LAYER = "layer2.0.bn1"


@pytest.fixture
def broken(tmp_path: Path, demo_inputs: DemoInputs) -> DemoInputs:
    """The demo's files, with NaN in two channels of one layer."""
    state = load_file(demo_inputs.checkpoint)
    for name in ("running_mean", "running_var"):
        state[f"{LAYER}.{name}"][:2] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    return replace(demo_inputs, checkpoint=tmp_path / "nan.safetensors")


def test_inspect_names_the_layer_the_channels_and_the_cure(broken: DemoInputs, afternorm: Callable[..., Ran]) -> None:
    text = afternorm("inspect", "--model", broken.checkpoint, *NETWORK).out
    assert f"warning: the running statistics of {LAYER} (2 of 32 channels: 0, 1) are not finite" in text
    assert "--recipe repair" in text
    fields = json.loads(afternorm("inspect", "--model", broken.checkpoint, *NETWORK, "--json").out)
    assert [finding["code"] for finding in fields["findings"]] == ["statistics-not-finite"]
    (item,) = fields["health"]
    assert (item["names"], item["first"], item["sick"]) == ([LAYER], [0, 1], True)


def test_inspect_of_a_sound_network_finds_nothing_and_of_a_black_image_what_it_reaches(
    demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    fields = json.loads(afternorm("inspect", "--model", demo_inputs.checkpoint, *NETWORK, "--json").out)
    assert (fields["findings"], fields["health"]) == ([], [])
    from torchvision.models import googlenet

    network = googlenet(weights=None, init_weights=False, aux_logits=True)
    torch.save(network.state_dict(), tmp_path / "googlenet.pth")
    text = afternorm(
        "inspect", "--model", tmp_path / "googlenet.pth", "--architecture", "torchvision/googlenet",
        "--architecture-args", "{aux_logits: true, init_weights: false}",
    ).out  # fmt: skip
    assert "info: no input reaches 2 layers (aux1.conv.bn; aux2.conv.bn)." in text


@pytest.mark.parametrize("recipe", ["alpha", "auto", "temperature"])
def test_a_recipe_that_needs_predictions_says_what_to_do(
    recipe: str, broken: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = afternorm("calibrate", *demo_options(broken), "--recipe", recipe, "--out", tmp_path / "out", "--threads", 1)
    assert ran.code == 1
    assert f"for 450 of 450 examples: the running statistics of {LAYER}" in ran.err
    assert "`afternorm calibrate --recipe repair`" in ran.err


def test_repair_is_a_preset_of_the_command_and_its_files_are_those_of_a_sound_network(
    broken: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = afternorm(
        "calibrate", *demo_options(broken, broken.digits), "--recipe", "repair", "--out", out, "--threads", 1,
        "--latency-runs", 5, "--require", "improved",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "against guessing" in ran.out
    summary = Summary.model_validate_json((out / "summary.json").read_bytes())
    assert [item.layer for item in summary.sick] == [LAYER]
    assert summary.measurement is not None
    assert summary.measurement.arm("tuned+T").metrics["top1"].value > 0.98
    fields = json.loads(afternorm("inspect", "--model", out / "tuned.safetensors", "--json").out)
    assert fields["findings"] == []
    page = (out / "report.html").read_text()
    assert "No scores for original and T" in page
    assert "repair" in afternorm("calibrate", "--help").out


def test_a_batch_compares_a_repair_with_what_failed(
    broken: DemoInputs, demo_inputs: DemoInputs, afternorm: Callable[..., Ran], tmp_path: Path
) -> None:
    models = {"nan": str(broken.checkpoint), "sound": str(demo_inputs.checkpoint)}
    recipes = {"repair": "repair", "T": "temperature"}
    manifest = write_manifest(tmp_path / "manifest.json", models, {"digits": str(broken.digits)}, recipes)
    ran = afternorm("batch", manifest, "--out", tmp_path / "batch", "--keep-going")
    assert ran.code == 3
    assert LAYER in ran.out + ran.err
    (comparison,) = (json.loads(path.read_text()) for path in (tmp_path / "batch").glob("comparison.json"))
    rows = {(row["model"], row["recipe"]): row for row in comparison["runs"]}
    repaired = rows["nan", "repair"]
    assert (repaired["state"], repaired["verdict"], repaired["top1_original"]) == ("finished", "improved", None)
    assert repaired["top1_tuned_t"] > 0.98
    assert rows["nan", "T"]["state"] == "failed"
    assert LAYER in rows["nan", "T"]["error"]
    assert rows["sound", "repair"]["state"] == "finished"
    assert rows["sound", "repair"]["verdict"] is None


def test_a_job_repairs_it_too(broken: DemoInputs, tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        data = server.server_data
        model = server.check_model(broken.checkpoint, preprocessing=PREPROCESSING.model_dump(mode="json"))
        assert model.state == "ready"
        dataset = server.check_dataset(broken.digits)
        outputs = {"formats": ["safetensors"], "latency_runs": 0}
        cured = data.quick_job(model.id, dataset.id, PRESETS["repair"], outputs=outputs)
        failed = data.quick_job(model.id, dataset.id, PRESETS["temperature"], outputs=outputs)
        server.run(cured, failed)
        assert data.row(cured).problem is None
        assert data.row(cured).verdict == "improved"
        summary = Summary.model_validate(data.summary(cured))
        assert [item.layer for item in summary.sick] == [LAYER]
        assert LAYER in json.dumps(data.row(failed).problem)
    finally:
        server.executor.close()
