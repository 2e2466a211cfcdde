"""Thumbnails: small, true to the pixels, and absent where an example is no picture."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from calibrate.data import open_data
from calibrate.data.thumbnails import BYTES, SIDE, thumbnail
from calibrate.recipe import Preprocessing


def opened(content: bytes | None) -> Image.Image:
    assert content is not None
    return Image.open(BytesIO(content), formats=["PNG"])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (480, 640), (900, 20), (3, 700), (1, 1)])
def test_even_noise_stays_within_the_bounds(channels: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    content = thumbnail(torch.randint(256, (channels, height, width), generator=generator, dtype=torch.uint8))
    assert max(opened(content).size) == min(SIDE, max(height, width))
    assert content is not None
    assert len(content) <= BYTES


@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_picture_is_kept_to_the_pixel(channels: int) -> None:
    pixels = torch.randint(256, (channels, 8, 6), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    shown = np.asarray(opened(thumbnail(pixels))).reshape(8, 6, channels)
    assert (shown == pixels.movedim(0, -1).numpy()).all()


def test_float_input_is_stretched_from_its_lowest_to_its_highest_value() -> None:
    values = torch.tensor([[[-2.0, 0.0], [1.0, 2.0]]])
    assert np.asarray(opened(thumbnail(values))).tolist() == [[0, 128], [191, 255]]
    assert np.asarray(opened(thumbnail(values * 1024 + 3))).tolist() == [[0, 128], [191, 255]]


@pytest.mark.parametrize("value", [0.0, 7.5, float("nan"), float("inf")])
def test_flat_and_broken_input_is_a_picture_too(value: float) -> None:
    assert np.asarray(opened(thumbnail(torch.full((3, 4, 4), value)))).max() == 0


@pytest.mark.parametrize("shape", [(5,), (2, 4, 4), (4, 4), (3, 2, 4, 4), (1, 0, 4)])
def test_what_is_no_picture_has_none(shape: tuple[int, ...]) -> None:
    assert thumbnail(torch.zeros(shape)) is None


def test_thumbnails_are_of_the_chosen_examples_as_the_network_sees_them(
    write_zip: Callable[..., Path], pets: dict[str, bytes]
) -> None:
    shape = Preprocessing(resize=6, crop=4)
    source = open_data(write_zip(pets), preprocessing=shape)
    found = source.thumbnails([5, 0, 2])
    assert list(found) == [0, 2, 5]
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (shape.mean, shape.std))
    for batch in source.batches(np.array([0, 2, 5]), 1):
        shown = torch.from_numpy(np.array(opened(found[int(batch.indices[0])])).transpose(2, 0, 1))
        torch.testing.assert_close((shown / 255 - mean) / std, batch.inputs[0])


def test_examples_without_pictures_have_no_thumbnails() -> None:
    vectors: list[tuple[Tensor, int]] = [(torch.full((4,), float(k)), k % 2) for k in range(6)]
    pictures = [(torch.full((1, 4, 4), float(k)), k % 2) for k in range(6)]
    assert open_data(vectors, preprocessing=None).thumbnails([1, 2]) == {}
    assert set(open_data(pictures, preprocessing=None).thumbnails([1, 2])) == {1, 2}
    assert open_data(pictures, preprocessing=None).thumbnails([]) == {}
