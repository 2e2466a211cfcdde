"""Decoding image files that nobody vouches for."""

import errno
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from calibrate.data.preprocess import MAX_PIXELS
from calibrate.errors import DataError, UnsafeInputError

#: The endings of the files that are read, and the formats a file may turn out to have.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")


class BrokenImageError(DataError):
    """An image that cannot be read, whatever is done with the others."""


def is_system_error(error: Exception) -> bool:
    """Whether the system could not read a file, as on a lost disk; Pillow's own OSError has no number.

    That of a place before the beginning, which a damaged file can name, has one.

    >>> is_system_error(OSError("image file is truncated")), is_system_error(OSError(errno.EIO, "Input/output error"))
    (False, True)
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def decode(content: bytes, name: str) -> Image.Image:
    """The decoded image (the first frame, where there are several); errors call it ``name``."""
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
        check_pixels(image.width, image.height, name)
        image.load()
    except UnsafeInputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnsafeInputError(f"{name} is too large an image: {error} Remove it.") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its content is in no known image format" if unknown else str(error)
        raise BrokenImageError(f"{name} cannot be read as an image ({reason}); replace or remove it.") from None
    return image


def check_pixels(width: int, height: int, name: str) -> None:
    """Refuse an image so large that decoding it would exhaust the memory."""
    if width * height > MAX_PIXELS:
        raise UnsafeInputError(
            f"{name} is {width} × {height} pixels, more than the limit of {MAX_PIXELS}; remove it or scale it down."
        )


#: How many channels an image may have: grey, RGB, RGB with transparency.
IMAGE_CHANNELS = (1, 3, 4)


def as_image(values: NDArray[np.generic]) -> Image.Image:
    """The image of uint8 pixels (H, W) or (H, W, C) with C = 1, 3 or 4.

    >>> as_image(np.zeros((2, 3, 1), np.uint8)).size
    (3, 2)
    """
    return Image.fromarray(values[..., 0] if values.shape[2:] == (1,) else values)
