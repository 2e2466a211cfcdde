"""Scikit-learn's handwritten digits: one half to train on, one half held out, and a bad scanner for the second."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import UnavailableError
from calibrate.recipe import Preprocessing

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

#: 8×8 grey images, as they are; mean and standard deviation of the training digits.
PREPROCESSING = Preprocessing(channels=1, mean=(0.304,), std=(0.375,))

SPLIT_SEED = 0

#: The scanner: the share of the contrast that stays, the share of its light that a pixel loses to each side, and the
#: standard deviation of the noise, of 255. Chosen, like the network, on training digits kept aside: about 85 % right.
CONTRAST = 0.7
LEAK = 0.06
NOISE = 20.0


def training_digits() -> tuple[Images, Labels]:
    """The 898 images (N, 8, 8) that the demo's network was trained on, and their labels (N,)."""
    images, labels = _digits()
    rows = np.flatnonzero(_is_training(labels))
    return images[rows], labels[rows]


def held_out_digits() -> tuple[Images, Labels]:
    """The other 899 images (N, 8, 8) and their labels (N,).

    Limits: the halves share their writers, so the held-out digits are new images but not new hands.
    """
    images, labels = _digits()
    rows = np.flatnonzero(~_is_training(labels))
    return images[rows], labels[rows]


def scan(images: Images, seed: int) -> Images:
    """The images through a bad scanner: ``x ← 0.7 · blur(x) + n``, n ~ N(0, 20²), rounded and cut to [0, 255].

    The blur weighs a pixel and its two neighbours by (0.06, 0.88, 0.06), along columns and then along rows, with the
    border repeated. Same seed, same noise, on every version of numpy.
    Shape: (N, H, W) to (N, H, W).

    >>> scan(np.full((1, 8, 8), 200, np.uint8), seed=0).shape
    (1, 8, 8)
    """
    blurred = _blur(_blur(images.astype(np.float64), axis=1), axis=2)
    noise = np.random.RandomState(seed).normal(0.0, NOISE, images.shape)
    return np.clip(np.rint(CONTRAST * blurred + noise), 0, 255).astype(np.uint8)


def _blur(images: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    border = [(1, 1) if index == axis else (0, 0) for index in range(images.ndim)]
    padded = np.pad(images, border, mode="edge")
    size = images.shape[axis]
    before, after = (padded.take(range(start, start + size), axis) for start in (0, 2))
    return (1 - 2 * LEAK) * images + LEAK * (before + after)


def _is_training(labels: Labels) -> NDArray[np.bool_]:
    """Half of each class, drawn by numpy's frozen generator: the shipped weights saw these rows for good."""
    random = np.random.RandomState(SPLIT_SEED)
    training = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        training[rows[: round(len(rows) / 2)]] = True
    return training


def _digits() -> tuple[Images, Labels]:
    """All 1797 images, their values 0 to 16 spread over 0 to 255."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UnavailableError(
            "the demo's digits come with scikit-learn, which is not installed; it comes with the extra 'demo': "
            'pip install "afternorm[demo]".'
        ) from None
    bunch: Any = load_digits()
    return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64)
