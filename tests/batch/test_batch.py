"""Batches: killed and resumed they repeat nothing and say the same; one failure loses nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calibrate.demo import PREPROCESSING, DemoInputs
from tests.conftest import Ran

MANIFEST = """
models:
  first: {{model: first.safetensors, architecture: cifar/resnet8, architecture_args: {{in_channels: 1}}}}
  second: {{model: second.safetensors, architecture: cifar/resnet8, architecture_args: {{in_channels: 1}}}}
datasets:
  clean: {{data: digits.npz, preprocessing: {shape}}}
recipes:
  gentle: {{steps: [{{kind: set_alpha, alpha: {alpha}}}, {{kind: measure, resamples: 100}}]}}
  firm: {{steps: [{{kind: set_alpha, alpha: 0.3}}, {{kind: measure, resamples: 100}}]}}
  temperature: {{steps: [{{kind: temperature}}, {{kind: measure, resamples: 100}}]}}
outputs: {{formats: [safetensors]}}
settings: {{threads: 1}}
"""


@pytest.fixture
def manifest(tmp_path: Path, demo_inputs: DemoInputs) -> Path:
    """Six runs: two checkpoints, one data set, three recipes."""
    for name in ("first", "second"):
        shutil.copyfile(demo_inputs.checkpoint, tmp_path / f"{name}.safetensors")
    shutil.copyfile(demo_inputs.digits, tmp_path / "digits.npz")
    return write(tmp_path, alpha=0.1)


def write(folder: Path, alpha: float) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(MANIFEST.format(shape=PREPROCESSING.model_dump_json(), alpha=alpha))
    return path


def records(out: Path) -> dict[str, int]:
    """When each run was finished."""
    return {str(path.parent.relative_to(out)): path.stat().st_mtime_ns for path in sorted(out.glob("*/*/*/run.json"))}


def comparison(out: Path) -> tuple[str, str, str]:
    html, csv, document = ((out / f"comparison.{kind}").read_text() for kind in ("html", "csv", "json"))
    return html, csv, document


@pytest.mark.slow
def test_killed_half_way_and_resumed_repeats_nothing_and_says_the_same(
    manifest: Path, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    out = tmp_path / "killed"
    command = [Path(sys.executable).with_name("afternorm"), "batch", manifest, "--out", out]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(records(out)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    time.sleep(1)  # the child of the run under way ends with its parent
    before = records(out)
    assert 3 <= len(before) < 6

    assert afternorm("batch", manifest, "--out", out).code == 2
    resumed = afternorm("batch", manifest, "--out", out, "--resume")
    assert resumed.code == 0, resumed.err
    after = records(out)
    assert len(after) == 6
    assert {name: after[name] for name in before} == before

    undisturbed = afternorm("batch", manifest, "--out", tmp_path / "whole", "--slots", 2)
    assert undisturbed.code == 0, undisturbed.err
    assert comparison(out) == comparison(tmp_path / "whole")
    assert resumed.out == undisturbed.out

    again = afternorm("batch", write(tmp_path, alpha=0.2), "--out", out, "--resume")
    assert again.code == 0, again.err
    changed = {name for name, when in records(out).items() if when != after[name]}
    assert changed == {"first/clean/gentle", "second/clean/gentle"}


@pytest.mark.slow
def test_one_broken_checkpoint_costs_only_its_own_runs(
    manifest: Path, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    (tmp_path / "first.safetensors").write_bytes(b"not a checkpoint")
    stopped = afternorm("batch", manifest, "--out", tmp_path / "stopped")
    assert stopped.code == 1
    assert "--keep-going" in stopped.err
    going = afternorm("batch", manifest, "--out", tmp_path / "going", "--keep-going", "--json")
    assert going.code == 3
    assert "first/clean/gentle" in going.err
    runs = json.loads(going.out)["runs"]
    assert len(runs) == 6
    assert all(bool(run["error"]) == (run["model"] == "first") for run in runs)
    html, csv, _ = comparison(tmp_path / "going")
    assert "first.safetensors" in html
    assert len(csv.splitlines()) == 7


def test_a_dry_run_lists_and_writes_nothing(manifest: Path, tmp_path: Path, afternorm: Callable[..., Ran]) -> None:
    ran = afternorm("batch", manifest, "--out", tmp_path / "never", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert [row["finished"] for row in json.loads(ran.out)] == [False] * 6
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("first.safetensors, arch", "nowhere.pth, arch"), "nowhere.pth"),
        (("digits.npz", "nothing.npz"), "nothing.npz"),
        (("alpha: 0.3", "alpha: 3"), "recipes.firm.steps[0].alpha"),
        (("first:", "../first:"), "../first"),
        (("settings:", "setings:"), "setings"),
    ],
)
def test_a_bad_manifest_is_explained_before_anything_starts(
    change: tuple[str, str], said: str, manifest: Path, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    manifest.write_text(manifest.read_text().replace(*change))
    ran = afternorm("batch", manifest, "--out", tmp_path / "out")
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


def test_files_that_no_batch_wrote_are_not_replaced(
    manifest: Path, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    mine = tmp_path / "out" / "first" / "clean" / "gentle" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    ran = afternorm("batch", manifest, "--out", tmp_path / "out")
    assert ran.code == 2
    assert mine.read_text() == "mine"
