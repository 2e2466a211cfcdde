"""From an image to the network's input."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from calibrate.errors import DataError, UnsafeInputError
from calibrate.recipe import Preprocessing
from calibrate.result import Finding

#: The most pixels an image may have, as it comes and after resizing.
MAX_PIXELS = 64 * 2**20


def prepare(image: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """Resize the shorter side, crop the centre, scale to [0, 1] and normalise: float32 (C, H, W).

    Equals torchvision's ``Resize``, ``CenterCrop``, ``ToTensor`` and ``Normalize`` on the image converted to grey
    (``channels`` = 1) or RGB. Like them it drops transparency and ignores the EXIF orientation.

    >>> prepare(Image.new("RGB", (40, 30)), Preprocessing(resize=16, crop=12)).shape
    torch.Size([3, 12, 12])
    """
    return scale(pixels(image, preprocessing, "the image"), preprocessing)


def pixels(image: Image.Image, preprocessing: Preprocessing, name: str) -> Tensor:
    """The first half of :func:`prepare`: convert, resize, crop, as uint8 (C, H, W); errors call it ``name``."""
    image = _convert(image, "L" if preprocessing.channels == 1 else "RGB", name)
    shorter, longer = sorted(image.size)
    if preprocessing.resize not in (None, shorter):
        if preprocessing.resize**2 * longer > MAX_PIXELS * shorter:
            raise UnsafeInputError(
                f"{name} is {image.width} × {image.height} pixels; with its shorter side resized to "
                f"{preprocessing.resize} it would pass the limit of {MAX_PIXELS} pixels. Remove the image."
            )
        image = _resize(image, preprocessing)
    if preprocessing.crop is not None and image.size != (preprocessing.crop, preprocessing.crop):
        image = _crop(image, preprocessing.crop)
    values = torch.from_numpy(np.array(image))
    return values[None] if values.dim() == 2 else values.permute(2, 0, 1)


def scale(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The second half of :func:`prepare`, for one image (C, H, W) or a batch (B, C, H, W): (x / 255 - mean) / std."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)


def require_preprocessing(preprocessing: Preprocessing | None, name: str) -> Preprocessing:
    """The preprocessing, which images cannot do without."""
    if preprocessing is None:
        raise DataError(
            f"{name} holds images, and the images need a preprocessing; pass --preprocessing (in Python "
            f"`preprocessing`) with the one the model was trained for, for example {{resize: 256, crop: 224}}."
        )
    return preprocessing


def applied_preprocessing(
    preprocessing: Preprocessing | None, *, images: bool, name: str
) -> tuple[Preprocessing | None, tuple[Finding, ...]]:
    """What is applied to images, or to floating point input, which is taken as it is; and what to say about it."""
    if images:
        return require_preprocessing(preprocessing, name), ()
    if preprocessing is None:
        return None, ()
    message = f"{name} holds floating point network input, which is taken as it is; the preprocessing was not applied."
    return None, (Finding(code="preprocessing-unused", severity="info", message=message),)


def _convert(image: Image.Image, mode: str, name: str) -> Image.Image:
    """The image as 8-bit grey or RGB; 16 bits are scaled to 8, so that white stays white."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{name} has pixels outside the 16-bit range 0 to 65535; save it with 8 or 16 bits.")
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without Pillow's advice to do this
    if image.mode == mode:
        return image
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"):
        raise DataError(f"{name} is a {image.mode} image, which is neither grey nor RGB; save it as 8-bit RGB.")
    return image.convert(mode)


# torchvision takes as long to import as torch, so it is loaded for images that need it and for no others.
def _resize(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    resized: Image.Image = resize(
        image, [preprocessing.resize], interpolation=InterpolationMode(preprocessing.interpolation), antialias=True
    )
    return resized


def _crop(image: Image.Image, side: int) -> Image.Image:
    from torchvision.transforms.v2.functional import center_crop

    cropped: Image.Image = center_crop(image, [side])
    return cropped
