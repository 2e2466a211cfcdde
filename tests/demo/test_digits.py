import sys

import numpy as np
import pytest
from scipy.ndimage import correlate1d
from sklearn.datasets import load_digits

from calibrate.demo.digits import CONTRAST, LEAK, NOISE, PREPROCESSING, held_out_digits, scan, training_digits
from calibrate.errors import UnavailableError


def rows(images, labels):
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


def test_the_halves_are_disjoint_and_make_up_all_digits():
    digits = load_digits()
    everything = rows(np.rint(digits.images * 255 / 16).astype(np.uint8), digits.target)
    training, held_out = rows(*training_digits()), rows(*held_out_digits())
    assert len(set(everything)) == len(everything), "no image comes twice, so equality of images is equality of rows"
    assert not set(training) & set(held_out)
    assert sorted(training + held_out) == sorted(everything)


def test_each_class_is_halved():
    training, held_out = (np.bincount(labels, minlength=10) for _, labels in (training_digits(), held_out_digits()))
    assert np.abs(training - held_out).max() <= 1


def test_images_are_grey_bytes_of_full_range():
    for images, labels in (training_digits(), held_out_digits()):
        assert images.shape == (len(labels), 8, 8)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert (images.min(), images.max()) == (0, 255)


def test_preprocessing_whitens_the_training_digits():
    images = training_digits()[0] / 255
    np.testing.assert_allclose(PREPROCESSING.mean, images.mean(), atol=5e-4)
    np.testing.assert_allclose(PREPROCESSING.std, images.std(), atol=5e-4)


def test_scan_is_blur_then_contrast_then_noise():
    images, _ = held_out_digits()
    kernel = [LEAK, 1 - 2 * LEAK, LEAK]
    blurred = correlate1d(correlate1d(images.astype(float), kernel, axis=1, mode="nearest"), kernel, 2, mode="nearest")
    noise = np.random.RandomState(5).normal(0, NOISE, images.shape)
    expected = np.clip(np.rint(CONTRAST * blurred + noise), 0, 255)
    difference = np.abs(scan(images, seed=5) - expected)
    assert difference.max() <= 1, "sums in another order may round a half to the other side"
    assert difference.mean() < 1e-3


def test_scan_follows_its_seed_alone_and_leaves_its_input():
    images, _ = held_out_digits()
    kept = images.copy()
    np.random.seed(1)
    first = scan(images, seed=3)
    np.random.seed(2)
    np.testing.assert_array_equal(scan(images, seed=3), first)
    assert (scan(images, seed=4) != first).mean() > 0.5
    np.testing.assert_array_equal(images, kept)


def test_scan_takes_images_of_any_shape():
    assert scan(np.zeros((2, 1, 5), np.uint8), seed=0).shape == (2, 1, 5)
    assert scan(np.zeros((0, 8, 8), np.uint8), seed=0).shape == (0, 8, 8)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UnavailableError, match=r'pip install "afternorm\[demo\]"'):
        held_out_digits()
