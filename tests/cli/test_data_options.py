"""The options that say how data are read reach every command that reads some."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrate.demo import DemoInputs
from tests.builders.commands import Ran, demo_options

Run = Callable[..., Ran]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SIZES = {"train": 60, "val": 50, "test": 40}


@pytest.fixture
def parts(demo_inputs: DemoInputs, tmp_path: Path) -> Path:
    """A MedMNIST-like file of digits."""
    digits = np.load(demo_inputs.digits)
    arrays: dict[str, Any] = {}
    for part, n in SIZES.items():
        arrays |= {f"{part}_images": digits["x"][:n], f"{part}_labels": digits["y"][:n, None]}
    np.savez(tmp_path / "digits.npz", **arrays)
    return tmp_path / "digits.npz"


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "probe", "adapt"])
def test_split_names_the_part(command: str, parts: Path, demo_inputs: DemoInputs, afternorm: Run) -> None:
    found = {}
    for split in (None, "train", "test"):
        more = ("--split", split) if split else ()
        ran = afternorm(command, *demo_options(demo_inputs, parts), *more, "--dry-run")
        assert ran.code == 0, ran.err
        plan = json.loads(ran.out)
        found[split] = (plan["n"], len(plan["data_findings"]))
    assert found == {None: (50, 1), "train": (60, 0), "test": (40, 0)}


def test_a_split_that_is_not_there_is_named(parts: Path, demo_inputs: DemoInputs, afternorm: Run) -> None:
    ran = afternorm("evaluate", *demo_options(demo_inputs, parts), "--split", "holdout", "--dry-run")
    assert (ran.code, ran.out) == (1, "")
    assert "no part 'holdout'" in ran.err


def test_inspect_tells_what_it_read(parts: Path, demo_inputs: DemoInputs, afternorm: Run) -> None:
    ran = afternorm("inspect", *demo_options(demo_inputs, parts), "--json")
    assert ran.code == 0, ran.err
    assert "part-taken" in {finding["code"] for finding in json.loads(ran.out)["findings"]}
    alone = ["inspect", "--model", demo_inputs.checkpoint, "--split", "val"]
    refused = afternorm(*alone)
    assert refused.code == 2
    assert "add --data" in refused.err


def test_training_data_are_the_part_train(parts: Path, demo_inputs: DemoInputs, afternorm: Run) -> None:
    ran = afternorm(
        *("calibrate", *demo_options(demo_inputs, parts), "--training-data", parts),
        *("--recipe", "{steps: [{kind: reestimate, on: training}]}", "--formats", "", "--out", parts.parent / "out"),
        "--json",
    )
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert (summary["data"]["n"], summary["data"]["training"]["n"]) == (50, 60)
    assert [item["code"] for item in summary["findings"]].count("part-taken") == 2


@pytest.mark.parametrize("classes", ["names.txt", "class_to_idx.json", "data.yaml"])
def test_broken_images_are_left_out_and_named(
    classes: str, demo_inputs: DemoInputs, afternorm: Run, tmp_path: Path
) -> None:
    digits = np.load(demo_inputs.digits)
    for number, (pixels, label) in enumerate(zip(digits["x"][:60], digits["y"][:60], strict=True)):
        path = tmp_path / "data" / WORDS[label] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        path.write_bytes(stream.getvalue()[:40] if number in (7, 21) else stream.getvalue())
    texts = {
        "names.txt": "\n".join(WORDS),
        "class_to_idx.json": json.dumps({word: index for index, word in enumerate(WORDS)}),
        "data.yaml": f"nc: 10\nnames: [{', '.join(WORDS)}]\n",
    }
    (tmp_path / classes).write_text(texts[classes])
    asked = ["evaluate", *demo_options(demo_inputs, tmp_path / "data"), "--classes", tmp_path / classes, "--json"]
    ran = afternorm(*asked, "--skip-broken", 2)
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["data"]["n"] == 58
    (finding,) = [item for item in summary["findings"] if item["code"] == "images-skipped"]
    assert "07.png" in finding["message"]
    assert "21.png" in finding["message"]
    refused = afternorm(*asked, "--skip-broken", 1)
    assert (refused.code, refused.out) == (1, "")
    assert "2 of 60 images" in refused.err
