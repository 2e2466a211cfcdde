"""C-style corruptions: what an image becomes depends on the image, its index, the corruption and the seed alone."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from imagecorruptions import corrupt as library_corrupt
from imagecorruptions import get_corruption_names
from numpy.typing import NDArray
from PIL import Image

from calibrate.data import Corrupted, Source, obstacle, open_data
from calibrate.data.c_style import SEEDED, corrupt
from calibrate.errors import DataError, UnavailableError
from calibrate.recipe import Preprocessing
from calibrate.steps import CORRUPTION_SETS, Corruption, CorruptionSet
from tests.builders.sources import inputs_of

RAW = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))
GREY = Preprocessing(channels=1, mean=(0,), std=(1,))
ALL = CORRUPTION_SETS["all"]


def images(n: int = 5, size: tuple[int, int] = (32, 32)) -> NDArray[np.uint8]:
    """Smooth colours with some black and some white, (n, H, W, 3)."""
    small = np.random.default_rng(0).integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize(size[::-1], Image.Resampling.BICUBIC)) for one in small])


def opened(pixels: NDArray[np.uint8], preprocessing: Preprocessing = RAW) -> Source:
    return open_data([(one, index % 2) for index, one in enumerate(pixels)], preprocessing=preprocessing)


def test_the_names_are_the_librarys() -> None:
    for name in get_args(CorruptionSet):
        assert list(CORRUPTION_SETS[name]) == get_corruption_names(name)
    assert get_args(Corruption) == ALL


@pytest.mark.parametrize("corruption", ALL)
def test_a_draw_depends_on_the_seed_alone(corruption: Corruption) -> None:
    image = images(1)[0]
    np.random.seed(3)
    before = np.random.get_state()
    first = corrupt(image, corruption, 3, seed=7)
    after = np.random.get_state()
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    np.random.seed(4)
    assert np.array_equal(first, corrupt(image, corruption, 3, seed=7))
    assert first.shape == image.shape
    assert not np.array_equal(first, image)
    np.random.seed(7)
    own = {"seed": 7} if corruption in SEEDED else {}
    assert np.array_equal(first, library_corrupt(image, 3, corruption, **own))


def test_a_failing_corruption_gives_the_generator_back() -> None:
    before = np.random.get_state()
    with pytest.raises(AttributeError):
        corrupt(images(1, (16, 16))[0], "fog", 1, seed=0)
    assert np.array_equal(before[1], np.random.get_state()[1])


@pytest.mark.parametrize("corruption", ALL)
def test_neither_order_nor_batches_change_an_image(corruption: Corruption) -> None:
    source = Corrupted(opened(images()), corruption, 2, seed=1)
    whole = inputs_of(source, [0, 1, 2, 3, 4])
    for batch_size in (1, 2):
        assert torch.equal(inputs_of(source, [0, 1, 2, 3, 4], batch_size), whole)
    np.random.seed(0)
    assert torch.equal(inputs_of(source, [3, 1]), whole[[1, 3]])


def test_equal_images_are_corrupted_differently_and_another_seed_is_another_draw() -> None:
    same = opened(np.repeat(images(1), 2, axis=0))
    one, two = inputs_of(Corrupted(same, "gaussian_noise", 1, seed=0), [0, 1])
    assert not torch.equal(one, two)
    assert not torch.equal(one, inputs_of(Corrupted(same, "gaussian_noise", 1, seed=1), [0])[0])


def test_severities_differ_in_strength_only() -> None:
    """The noise of severity 2 is 0.12 / 0.08 that of severity 1, number by number, where nothing is clipped."""
    grey = opened(np.full((1, 32, 32, 3), 128, np.uint8))
    mild, strong = (inputs_of(Corrupted(grey, "gaussian_noise", s, seed=0), [0]) * 255 - 128 for s in (1, 2))
    inside = strong.abs() < 100
    assert (mild[inside] * 1.5 - strong[inside]).abs().max() <= 2.5  # both are cut to whole numbers


@pytest.mark.parametrize(
    "corruption", ["gaussian_noise", "impulse_noise", "speckle_noise", "gaussian_blur", "brightness", "contrast", "fog"]
)
def test_each_severity_is_further_from_the_image(corruption: Corruption) -> None:
    pixels = images(1)[0].astype(float)
    distances = [np.abs(corrupt(images(1)[0], corruption, severity, 0) - pixels).mean() for severity in range(1, 6)]
    assert (np.diff(distances) > 0).all()


def test_corruption_comes_after_the_crop_and_before_scaling() -> None:
    pixels = images(1, (48, 40))
    cropped = Preprocessing(crop=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    seen = inputs_of(Corrupted(opened(pixels, cropped), "contrast", 3, seed=0), [0])[0]
    expected = library_corrupt(np.ascontiguousarray(pixels[0, 8:40, 4:36]), 3, "contrast").transpose(2, 0, 1) / 255
    assert np.allclose(seen, (expected - 0.5) / 0.25, atol=1e-6)


def test_a_grey_image_keeps_the_noise_of_a_colour_channel() -> None:
    source = opened(np.full((1, 32, 32), 128, np.uint8), GREY)
    seen = inputs_of(Corrupted(source, "gaussian_noise", 1, seed=0), [0])
    assert seen.shape == (1, 1, 32, 32)
    assert float(seen.std()) == pytest.approx(0.08, rel=0.1)


def test_spatter_without_a_drop_leaves_the_image() -> None:
    """The library divides the drops by the largest one, and where none fell puts out black with a warning."""
    image = images(1)[0]
    seed = next(seed for seed in range(1000) if _without_a_drop(image, seed))
    assert np.array_equal(corrupt(image, "spatter", 1, seed), image)


def _without_a_drop(image: NDArray[np.uint8], seed: int) -> bool:
    np.random.seed(seed)
    with np.errstate(invalid="ignore"):
        return int(library_corrupt(image, 1, "spatter").max()) == 0


def test_fingerprint_and_name_say_what_was_done() -> None:
    source = opened(images())
    made = [
        Corrupted(source, "fog", 1, seed=0),
        Corrupted(source, "fog", 2, seed=0),
        Corrupted(source, "fog", 1, seed=1),
        Corrupted(source, "snow", 1, seed=0),
        Corrupted(opened(images(4)), "fog", 1, seed=0),
    ]
    assert len({source.fingerprint, *(one.fingerprint for one in made)}) == 6
    assert made[1].name == "list, C-style fog, severity 2"
    assert made[0].labels.tolist() == source.labels.tolist()


def test_what_cannot_be_corrupted_is_said() -> None:
    floating = open_data([(torch.zeros(3, 32, 32), 0)], preprocessing=None)
    reason = obstacle(floating, 0)
    assert reason is not None
    assert "floating point" in reason
    with pytest.raises(DataError, match="floating point"):
        Corrupted(floating, "fog", 1, seed=0)
    small = opened(images(2, (31, 40)))
    reason = obstacle(small, 1)
    assert reason is not None
    assert "40 × 31" in reason
    with pytest.raises(DataError, match="example 0 of list cannot be corrupted"):
        inputs_of(Corrupted(small, "fog", 1, seed=0), [0])
    assert obstacle(opened(images(1)), 0) is None


@pytest.mark.parametrize(
    ("missing", "said"), [("imagecorruptions", r"pip install 'afternorm\[corruptions\]'"), ("cv2", "cv2 is not")]
)
def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, said: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "imagecorruptions"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UnavailableError, match=said):
        Corrupted(opened(images(1)), "fog", 1, seed=0)


def test_where_opencv_does_not_load_the_headless_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = f"""import sys; sys.path.insert(0, {str(tmp_path)!r})
from calibrate.data.c_style import require_corruptions
from calibrate.errors import UnavailableError
try: require_corruptions()
except UnavailableError as error: print(error)"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "libGL.so.1" in said
    assert "opencv-python-headless" in said
