"""C-style corruptions of one image: the library's, held to a seed and to 8 bits.

Reference: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations,
ICLR 2019. The numbers are not theirs: they corrupted ImageNet once and published the files.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import UnavailableError
from calibrate.steps import Corruption

#: The shorter side, in pixels, that the corruptions need.
SMALLEST_SIDE = 32

#: The corruptions that draw from a generator of their own, given by a seed, and not from numpy's global one.
SEEDED: frozenset[Corruption] = frozenset({"impulse_noise", "glass_blur"})


def corrupt(image: NDArray[np.uint8], corruption: Corruption, severity: int, seed: int) -> NDArray[np.uint8]:
    """``image`` (H, W, 3), both sides from 32 pixels on, corrupted with ``severity`` 1 to 5; the same for a ``seed``.

    numpy's global generator, which the library draws from, is given back as it was. Not for two threads at once.
    """
    require_corruptions()
    import imagecorruptions

    own = {"seed": seed} if corruption in SEEDED else {}
    try:
        with _drawing_from(seed), np.errstate(invalid="raise"):
            corrupted: NDArray[np.uint8] = imagecorruptions.corrupt(image, severity, corruption, **own)
    except FloatingPointError:
        if corruption != "spatter":
            raise
        return image  # no drop fell on so small an image: the library divides the drops by the largest, 0 by 0
    return corrupted


def require_corruptions() -> None:
    """Raise UnavailableError, naming the extra, where the library of the corruptions cannot be imported."""
    try:
        import imagecorruptions  # noqa: F401
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"C-style corruptions need imagecorruptions-imaug and what it builds on, and {error.name} is not "
            "installed; install them with `pip install 'afternorm[corruptions]'`."
        ) from None
    except ImportError as error:
        raise UnavailableError(
            f"C-style corruptions cannot be made, because OpenCV does not load here ({error}); on a machine without a "
            "screen, follow the installation with `pip install --force-reinstall --no-deps opencv-python-headless`."
        ) from None


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Let the global generator of numpy start at ``seed`` inside, and be afterwards where it was before."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
