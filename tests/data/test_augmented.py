"""Augmented images: the definition by numpy, its probabilities, and nothing but seed and index deciding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrate.data import Augmented, Source, open_data
from calibrate.data.derived.augmented import flip_crop
from calibrate.data.preprocess import prepare_pixels
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

PREPROCESSING = Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def image(height: int = 16, width: int = 24, channels: int = 1) -> Tensor:
    """Every pixel another value, none of them black."""
    return (torch.arange(height * width * channels) % 255 + 1).reshape(channels, height, width).to(torch.uint8)


def candidates(x: Tensor) -> dict[tuple[bool, int, int], np.ndarray]:
    """All that may become of an image: mirrored or not, and each shift."""
    made = {}
    height, width = x.shape[1:]
    for mirrored in (False, True):
        pixels = x.numpy()[:, :, ::-1] if mirrored else x.numpy()
        for down in range(-(height // 8), height // 8 + 1):
            for right in range(-(width // 8), width // 8 + 1):
                canvas = np.zeros_like(pixels)
                for row in range(max(down, 0), height + min(down, 0)):
                    for column in range(max(right, 0), width + min(right, 0)):
                        canvas[:, row, column] = pixels[:, row - down, column - right]
                made[mirrored, down, right] = canvas
    return made


def outcome(x: Tensor, known: dict[tuple[bool, int, int], np.ndarray], seed: int, index: int) -> tuple[bool, int, int]:
    seen = flip_crop(x, seed, index)
    assert seen.dtype == torch.uint8
    (found,) = [key for key, value in known.items() if np.array_equal(seen.numpy(), value)]
    return found


def test_mirrored_half_of_the_time_and_shifted_uniformly() -> None:
    x = image()
    known, draws = candidates(x), 1500
    found = [outcome(x, known, 3, index) for index in range(draws)]
    assert abs(np.mean([mirrored for mirrored, _, _ in found]) - 0.5) < 4 * 0.5 / draws**0.5
    for place, choices in ((1, range(-2, 3)), (2, range(-3, 4))):
        shares = np.array([np.mean([key[place] == choice for key in found]) for choice in choices])
        p = 1 / len(choices)
        assert np.abs(shares - p).max() < 5 * (p * (1 - p) / draws) ** 0.5


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 7, 9), (3, 8, 5)])
def test_all_channels_alike_and_sides_below_8_never_shifted(shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    x = image(height, width, channels)
    known = candidates(x)
    furthest = (height // 8, width // 8)
    for index in range(20):
        _, *shifts = outcome(x, known, 0, index)
        assert all(abs(shift) <= limit for shift, limit in zip(shifts, furthest, strict=True))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    random = np.random.Generator(np.random.PCG64(0))
    x = random.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(40) % 4)
    return open_data(tmp_path / "data.npz", preprocessing=PREPROCESSING)


def test_pass_batch_size_and_company_make_no_difference(source: Source) -> None:
    augmented = Augmented(source, 5)
    whole = inputs_of(augmented, batch_size=40)
    assert torch.equal(whole, inputs_of(augmented, batch_size=7))
    assert torch.equal(whole[[3, 20, 21]], inputs_of(augmented, [21, 3, 20], batch_size=2))
    plain = torch.stack(list(source._stream(np.arange(40), 1)))
    expected = prepare_pixels(torch.stack([flip_crop(x, 5, index) for index, x in enumerate(plain)]), PREPROCESSING)
    assert torch.equal(whole, expected), "black is black before scaling"


def test_the_seed_decides_and_the_fingerprint_tells(source: Source) -> None:
    one, other = Augmented(source, 5), Augmented(source, 6)
    assert not torch.equal(inputs_of(one), inputs_of(other))
    assert len({one.fingerprint, other.fingerprint, source.fingerprint}) == 3
    assert np.array_equal(one.labels, source.labels)
    assert (one.name, one.entry(3)) == (source.name, source.entry(3))


def test_input_that_is_no_images_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 3, 8, 8), np.float32), y=np.arange(4))
    with pytest.raises(DataError, match=r"cannot be augmented.*leave out what augments them"):
        Augmented(open_data(tmp_path / "data.npz", preprocessing=PREPROCESSING), 0)
