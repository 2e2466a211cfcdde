"""A network whose outputs are in the other usual order of the classes: the run says so, unless a list was given."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calibrate import Recipe, retrofit
from calibrate.data import open_data
from calibrate.recipe import Preprocessing

NAMES = [f"class_{number}" for number in range(1, 13)]
USUAL = "That is the other usual order of such names"


class Brightness(nn.Module):
    """Calls an image of brightness 0.05 (k + 1) the class k."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=False, eps=1e-12)
        self.levels = nn.Parameter(0.05 * torch.arange(1, len(NAMES) + 1))

    def forward(self, x: Tensor) -> Tensor:
        return -100 * (self.norm(x).mean((1, 2, 3))[:, None] - self.levels) ** 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of each class."""
    for number, name in enumerate(NAMES, start=1):
        (tmp_path / name).mkdir()
        for image in range(12):
            grey = np.full((4, 4, 3), round(0.05 * 255 * number), np.uint8)
            Image.fromarray(grey).save(tmp_path / name / f"{image}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("classes", "usual"), [(None, True), (sorted(NAMES), False), (NAMES, None)], ids=["unlisted", "listed", "right"]
)
def test_the_other_usual_order_is_named(folder: Path, classes: list[str] | None, usual: bool | None) -> None:
    source = open_data(folder, preprocessing=Preprocessing(mean=[0, 0, 0], std=[1, 1, 1]), classes=classes)
    recipe = Recipe(steps=[{"kind": "measure", "resamples": 200}])
    findings = retrofit(Brightness(), recipe, data=source).summary.findings
    said = [item.message for item in findings if item.code == "labels-permuted"]
    assert [USUAL in message for message in said] == ([] if usual is None else [usual])
