"""Arrays of 8-bit pixels as images."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: How many channels an image may have: grey, RGB, RGB with transparency.
IMAGE_CHANNELS = (1, 3, 4)


def as_image(values: NDArray[np.generic]) -> Image.Image:
    """The image of uint8 pixels (H, W) or (H, W, C) with C = 1, 3 or 4.

    >>> as_image(np.zeros((2, 3, 1), np.uint8)).size
    (3, 2)
    """
    return Image.fromarray(values[..., 0] if values.shape[2:] == (1,) else values)
