"""The misfit of a preparation, as the product finds it, is that of the benchmark's independent float64 reference."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import Preprocessing, input_fit, open_model
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, DemoInputs
from calibrate.demo.digits import held_out_digits
from tests.benchmarks.preparations.preparation import Preparation
from tests.benchmarks.preparations.reference import fit


def prepared(pixels: Tensor, preprocessing: Preprocessing) -> Tensor | None:
    """The images in float64; None where the reference has no such preparation."""
    preparation = Preparation(
        preprocessing.mean, preprocessing.std, preprocessing.order == "bgr", preprocessing.inverted
    )
    if preprocessing.by_example or preprocessing.transposed or preprocessing.maximum:
        return None
    return preparation(pixels, torch.float64)


def assert_as_the_reference(model: nn.Module, images: np.ndarray, given: Preprocessing, folder: Path) -> None:
    np.savez(folder / "images.npz", x=images)
    found = input_fit(model, folder / "images.npz", preprocessing=given)
    assert found.images == len(images)
    pixels = torch.from_numpy(images).unsqueeze(-1) if images.ndim == 3 else torch.from_numpy(images)
    exact = copy.deepcopy(model).double()
    compared = 0
    for item in (found.given, *found.others):
        assert item.preprocessing is not None
        inputs = prepared(pixels.permute(0, 3, 1, 2), item.preprocessing)
        if inputs is not None:
            assert item.misfit == pytest.approx(fit(exact, inputs.split(7)), rel=1e-4), item.name
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("pair", [((0.304,), (0.375,)), ((0.5,), (0.5,)), ((0.0,), (1 / 255,))])
def test_the_bundled_network(pair: tuple[tuple[float], tuple[float]], demo_inputs: DemoInputs, tmp_path: Path) -> None:
    model = open_model(demo_inputs.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS).model
    given = Preprocessing(channels=1, mean=pair[0], std=pair[1])
    assert_as_the_reference(model, held_out_digits()[0][::15], given, tmp_path)


def test_colors_behind_a_biased_convolution_with_a_dead_channel(tmp_path: Path) -> None:
    """The running statistics are those of BGR images, inverted; one channel carries next to nothing."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, 9, 7, 3), generator=generator, dtype=torch.uint8)
    images = (images * torch.tensor([0.9, 0.5, 0.3])).to(torch.uint8)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 63, 3)
    )
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        model[0].get_parameter("weight")[2] = 1e-6
        norm.momentum = None
        model(Preparation((0.4,) * 3, (0.2,) * 3, bgr=True, inverted=True)(images.permute(0, 3, 1, 2)))
    assert_as_the_reference(model.eval(), images.numpy(), Preprocessing(), tmp_path)
