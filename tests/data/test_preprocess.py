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

from calibrate.data import open_data, prepare, prepare_arrays, prepare_pixels
from calibrate.errors import DataError, UnsafeInputError
from calibrate.recipe import InputMap, Preprocessing

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


def test_each_way_of_preparing_equals_numpy() -> None:
    image = noise(9, 7)
    x = unit(image).transpose(2, 0, 1)
    mean, std = np.array([0.1, 0.2, 0.3])[:, None, None], np.array([0.5, 0.6, 0.7])[:, None, None]
    own = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    expected = {
        "order": ("bgr", x[::-1]), "inverted": (True, 1 - x), "transposed": (True, x.transpose(0, 2, 1)),
        "by_example": (True, own),
    }  # fmt: skip
    for name, (value, made) in expected.items():
        asked = Preprocessing.model_validate({"mean": mean.ravel(), "std": std.ravel(), name: value})
        np.testing.assert_allclose(prepare(image, asked).numpy(), (made - mean) / std, atol=1e-5)
    both = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), order="bgr", inverted=True, by_example=True)
    np.testing.assert_allclose(prepare(image, both).numpy(), -own[::-1], atol=1e-5)


@pytest.mark.parametrize(("dtype", "maximum"), [("uint8", 15), ("uint8", 200), ("uint16", 4095), ("uint16", 1023)])
def test_the_maximum_becomes_one_and_what_is_beyond_it_too(dtype: str, maximum: int) -> None:
    values = np.random.default_rng(0).integers(0, maximum + 40, (6, 5)).astype(dtype)
    values[0, 0] = maximum
    made = prepare(Image.fromarray(values), GREY.model_copy(update={"maximum": maximum})).numpy()[0]
    np.testing.assert_allclose(made, np.minimum(values / maximum, 1), atol=0.51 / 255)
    assert made[0, 0] == 1


def test_a_constant_image_standardized_is_zero_and_not_nan() -> None:
    flat = prepare(Image.new("L", (4, 4), 90), GREY.model_copy(update={"by_example": True}))
    assert torch.equal(flat, torch.zeros(1, 4, 4))


def test_arrays_are_mapped_as_asked() -> None:
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    scale, shift = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1), torch.tensor([0.5, 1.0]).view(1, 2, 1, 1)
    by_channel = InputMap(scale=(2.0, -3.0), shift=(0.5, 1.0))
    torch.testing.assert_close(prepare_arrays(x, by_channel), x * scale + shift)
    torch.testing.assert_close(prepare_arrays(x, InputMap(transposed=True)), x.mT)
    torch.testing.assert_close(prepare_arrays(x, InputMap(reversed_channels=True, scale=(2.0,))), 2 * x[:, [1, 0]])
    torch.testing.assert_close(prepare_arrays(x.movedim(1, -1), InputMap(channels_last=True)), x)
    vectors = torch.randn(4, 6, dtype=torch.float64)
    by_example = prepare_arrays(vectors, InputMap(by_example=True))
    torch.testing.assert_close(by_example.std(1, correction=0), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("asked", "shape", "words"),
    [
        (InputMap(scale=(1.0, 2.0)), (4, 3, 5, 5), "arrays.scale has 2 values"),
        (InputMap(shift=(1.0, 2.0)), (4, 7), "arrays.shift has 2 values"),
        (InputMap(transposed=True), (4, 3, 5), "arrays.transposed"),
        (InputMap(channels_last=True), (4, 7), "arrays.channels_last"),
    ],
)
def test_a_map_that_does_not_fit_the_arrays_is_an_error(asked: InputMap, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepare_arrays(torch.zeros(shape), asked)


def test_a_source_prepared_anew_leaves_the_first_alone() -> None:
    data = [(np.full((4, 4), 60, np.uint8), 0), (np.full((4, 4), 90, np.uint8), 1)]
    source = open_data(data, preprocessing=GREY)
    other = source.prepared_by(GREY.model_copy(update={"inverted": True}))
    (one,), (two,) = source.batches(np.arange(2), 2), other.batches(np.arange(2), 2)
    torch.testing.assert_close(one.inputs, 1 - two.inputs)
    assert source.preprocessing == GREY
    arrays = open_data([(np.float32([[[1.0]]]), 0)], preprocessing=Preprocessing(arrays=InputMap(scale=(3.0,))))
    (batch,) = arrays.batches(np.arange(1), 1)
    assert batch.inputs.item() == 3
    assert arrays.preparation == Preprocessing(arrays=InputMap(scale=(3.0,)))
    assert arrays.findings == ()


def test_a_grey_image_has_no_order() -> None:
    with pytest.raises(ValueError, match="no order of channels"):
        Preprocessing(channels=1, mean=(0,), std=(1,), order="bgr")
