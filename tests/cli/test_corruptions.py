"""``afternorm evaluate --corruptions``: the step it stands for, its reports, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrate import Recipe, Summary
from calibrate.io import build
from calibrate.recipe import PRESETS
from calibrate.steps import Corruptions, ProbeCorruptions, ProbeResult
from tests.builders.commands import Ran


@pytest.fixture
def untrained(tmp_path: Path) -> tuple[object, ...]:
    """The options of an untrained network and 24 images."""
    torch.manual_seed(0)
    torch.save(build("cifar/resnet8", {}).state_dict(), tmp_path / "model.pth")
    images = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=images, y=np.arange(24) % 10)
    return (
        "evaluate", "--model", tmp_path / "model.pth", "--architecture", "cifar/resnet8",
        "--data", tmp_path / "data.npz", "--preprocessing", "{}", "--threads", 1,
    )  # fmt: skip


def test_writes_the_heat_map_and_carries_out_the_step(
    untrained: tuple[object, ...], tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    asked = ("--corruptions", "fog, contrast", "--severity", "1,3", "--corruption-samples", 5, "--seed", 4)
    out = tmp_path / "robustness"
    ran = afternorm(*untrained, *asked, "--out", out)
    assert ran.code == 0
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md", "report.txt", "summary.json"}
    assert ran.out.startswith((out / "report.txt").read_text().partition("Normalisation layers")[0])
    assert "under C-style corruption" in (out / "report.html").read_text()
    summary = Summary.model_validate_json((out / "summary.json").read_text())
    step = ProbeCorruptions(names=("fog", "contrast"), severities=(1, 3), samples=5)
    assert summary.recipe == Recipe(seed=4, steps=(*PRESETS["measure"].steps, step))
    (found,) = summary.of(ProbeResult)
    assert isinstance(found, Corruptions)
    assert (found.images, len(found.scores)) == (5, 4)


@pytest.mark.parametrize(("severity", "meant"), [("1-5", (1, 2, 3, 4, 5)), ("2-2", (2,)), ("3", (3,)), ("4,2", (4, 2))])
def test_ways_to_write_a_severity(
    severity: str, meant: tuple[int, ...], untrained: tuple[object, ...], afternorm: Callable[..., Ran]
) -> None:
    ran = afternorm(*untrained, "--corruptions", "validation", "--severity", severity, "--dry-run")
    expected = Recipe(steps=(*PRESETS["measure"].steps, ProbeCorruptions(names="validation", severities=meant)))
    assert expected.digest in ran.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--severity", "3"), "add --corruptions all"),
        (("--corruption-samples", "3"), "add --corruptions all"),
        (("--corruptions", "all", "--severity", "6"), "--severity: '6' was given; input should be less than or equal"),
        (("--corruptions", "all", "--severity", "5-1"), "--severity: "),
        (("--corruptions", "all", "--severity", "2,2"), "--severity: 2 stands twice"),
        (("--corruptions", "fog,fgo"), "--corruptions: 'fgo' was given; input should be 'gaussian_noise'"),
        (("--corruptions", "fog,fog"), "--corruptions: 'fog' stands twice"),
    ],
)
def test_what_cannot_be_meant_is_explained(
    options: tuple[str, ...], said: str, untrained: tuple[object, ...], afternorm: Callable[..., Ran]
) -> None:
    ran = afternorm(*untrained, *options)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
