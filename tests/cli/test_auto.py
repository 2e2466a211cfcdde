"""The search for the best from the command line and in a batch: one leaderboard, and no pass made twice."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from calibrate import Summary, open_model
from calibrate.batch.child import TRIALS
from calibrate.demo import ARCHITECTURE, DemoInputs
from calibrate.steps import Leaderboard
from tests.builders.commands import Ran, demo_options, write_manifest

SEARCH = {
    "steps": [
        {
            "kind": "auto",
            "resamples": 200,
            "candidates": [
                {"name": "re-estimated", "steps": [{"kind": "reestimate"}]},
                {"name": "α = 0.3", "steps": [{"kind": "set_alpha", "alpha": 0.3}]},
            ],
        }
    ]
}


@pytest.fixture
def data(tmp_path: Path, demo_inputs: DemoInputs) -> Path:
    arrays = np.load(demo_inputs.scanned)
    np.savez(tmp_path / "scanned.npz", x=arrays["x"][:200], y=arrays["y"][:200])
    return tmp_path / "scanned.npz"


def options(data: Path, inputs: DemoInputs, out: Path, *more: object) -> tuple[object, ...]:
    return (
        "calibrate", *demo_options(inputs, data), "--recipe", json.dumps(SEARCH), "--threads", 1,
        "--out", out, "--json", *more,
    )  # fmt: skip


def test_the_leaderboard_the_files_and_what_serving_costs(
    data: Path, demo_inputs: DemoInputs, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    ran = afternorm(*options(data, demo_inputs, out, "--latency-runs", 2, "--trials", kept, "--require", "improved"))
    assert ran.code == 0, ran.err
    summary = Summary.model_validate_json(ran.out)
    board = summary.last(Leaderboard)
    assert board is not None
    assert board.recommended == "re-estimated"
    (served,) = summary.serving
    assert served.graph == board.row("α = 0.3").holdout.graph  # type: ignore[union-attr]
    assert served.original_bytes == pytest.approx(len(onnx.load(out / "tuned.onnx").SerializeToString()), rel=0.05)
    assert open_model(out / "tuned.safetensors").architecture == ARCHITECTURE
    text = (out / "report.txt").read_text()
    assert "Recommended: re-estimated." in text
    assert "re-estimated ←" in text

    files = {path: path.stat().st_mtime_ns for path in kept.rglob("*.safetensors")}
    again = afternorm(*options(data, demo_inputs, tmp_path / "again", "--formats", "", "--trials", kept))
    assert Summary.model_validate_json(again.out).last(Leaderboard) == board
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*.safetensors")} == files


def test_a_batch_searches_too_and_leaves_no_passes_behind(
    data: Path, demo_inputs: DemoInputs, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    models, datasets, out = {"digits": str(demo_inputs.checkpoint)}, {"scanned": str(data)}, tmp_path / "batch"
    manifest = write_manifest(tmp_path / "manifest.json", models, datasets, {"best": SEARCH}, ("onnx",))
    cell = out / "digits" / "scanned" / "best"
    ran = afternorm("batch", manifest, "--out", out)
    assert ran.code == 0, ran.err
    assert not (cell / TRIALS).exists()
    assert json.loads((cell / "summary.json").read_text())["outcomes"][0]["recommended"] == "re-estimated"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--budget", "soon"), "such as 20-passes, 90s, 5min or 1h"),
        (("--guardrail", "1.5"), "there are none"),
        (("--shifts", "fgo:3"), "fog"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    more: tuple[str, ...],
    words: str,
    data: Path,
    demo_inputs: DemoInputs,
    tmp_path: Path,
    afternorm: Callable[..., Ran],
) -> None:
    ran = afternorm(*options(data, demo_inputs, tmp_path / "out", *more))
    assert ran.code == 2
    assert words in ran.err
    assert not (tmp_path / "out").exists()
