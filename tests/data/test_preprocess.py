"""prepare() is torchvision's evaluation transform, on whatever image it is given."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms

from calibrate.data import prepare
from calibrate.data.preprocess import prepare_pixels
from calibrate.errors import DataError, UnsafeInputError
from calibrate.recipe import Preprocessing

RAW = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))
GREY = Preprocessing(channels=1, mean=(0,), std=(1,))

Interpolation = Literal["nearest", "bilinear", "bicubic"]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def unit(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64) / 255


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    resize=st.none() | st.integers(1, 32),
    crop=st.none() | st.integers(1, 32),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
)
def test_equals_torchvision_transforms(
    width: int, height: int, resize: int | None, crop: int | None, interpolation: Interpolation
) -> None:
    image = noise(width, height)
    preprocessing = Preprocessing(resize=resize, crop=crop, interpolation=interpolation)
    steps: list[object] = []
    if resize:
        steps.append(transforms.Resize(resize, transforms.InterpolationMode(interpolation)))
    if crop:
        steps.append(transforms.CenterCrop(crop))
    steps += [transforms.ToTensor(), transforms.Normalize(preprocessing.mean, preprocessing.std)]
    assert torch.equal(prepare(image, preprocessing), transforms.Compose(steps)(image))


@pytest.mark.parametrize("size", [(37, 23), (23, 37), (20, 20)])
def test_equals_pillow_and_numpy(size: tuple[int, int]) -> None:
    preprocessing = Preprocessing(resize=20, crop=14, interpolation="bicubic")
    image = noise(*size)
    width, height = (int(20 * side / min(size)) for side in size)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - 14) / 2), round((height - 14) / 2)
    pixels = unit(resized)[top : top + 14, left : left + 14]
    wanted = ((pixels - preprocessing.mean) / preprocessing.std).transpose(2, 0, 1)
    np.testing.assert_allclose(prepare(image, preprocessing).numpy(), wanted, atol=1e-6)


def test_crop_pads_a_smaller_image_with_black() -> None:
    image = noise(4, 6)
    prepared = prepare(image, RAW.model_copy(update={"crop": 10})).numpy().transpose(1, 2, 0)
    wanted = np.zeros((10, 10, 3))
    wanted[2:8, 3:7] = unit(image)
    np.testing.assert_allclose(prepared, wanted, atol=1e-6)


@given(seed=st.integers(0, 100), batch=st.integers(1, 4))
def test_scaling_a_batch_is_scaling_each_image(seed: int, batch: int) -> None:
    pixels = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (batch, 3, 5, 4), dtype=np.uint8))
    whole = prepare_pixels(pixels, Preprocessing())
    assert all(torch.equal(whole[i], prepare_pixels(pixels[i], Preprocessing())) for i in range(batch))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize(("preprocessing", "target"), [(RAW, "RGB"), (GREY, "L")])
def test_every_mode_becomes_what_pillow_makes_of_it(mode: str, preprocessing: Preprocessing, target: str) -> None:
    image = noise(9, 7).convert("RGB").convert(mode)
    wanted = unit(image.convert(target)).reshape(7, 9, -1).transpose(2, 0, 1)
    np.testing.assert_allclose(prepare(image, preprocessing).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("transparency", [1, b"\x00\x80"])
def test_a_transparent_palette_gives_its_colours_without_a_warning(transparency: int | bytes) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.info["transparency"] = transparency
    prepared = (prepare(image, RAW) * 255).round().int()
    assert prepared[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4"])
def test_16_bits_are_scaled_so_that_white_stays_white(dtype: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65535]], dtype=dtype)
    image = Image.fromarray(values)
    assert image.mode.startswith("I")
    prepared = (prepare(image, GREY) * 255).numpy()
    np.testing.assert_allclose(prepared[0, 0], np.round(values[0] / 65535 * 255), atol=1e-4)


@pytest.mark.parametrize("value", [-1, 65536])
def test_more_than_16_bits_are_refused(value: int) -> None:
    with pytest.raises(DataError, match="16-bit range"):
        prepare(Image.fromarray(np.array([[value]], dtype=np.int32)), GREY)


def test_floating_point_images_are_refused() -> None:
    with pytest.raises(DataError, match="F image"):
        prepare(Image.fromarray(np.ones((2, 2), dtype=np.float32)), GREY)


def test_exif_orientation_is_not_applied() -> None:
    image = noise(8, 4)
    image.getexif()[0x0112] = 6
    np.testing.assert_allclose(prepare(image, RAW).numpy().transpose(1, 2, 0), unit(image), atol=1e-6)


def test_an_image_that_resizing_would_blow_up_is_refused() -> None:
    with pytest.raises(UnsafeInputError, match="1 × 60000 pixels"):
        prepare(Image.new("L", (1, 60000)), Preprocessing(resize=1024, crop=1024))
