"""From an image to the network's input."""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from calibrate.errors import DataError, UnsafeInputError
from calibrate.preprocessing import InputMap, Preprocessing
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
    return prepare_pixels(pixels(image, preprocessing, "the image"), preprocessing)


def pixels(image: Image.Image, preprocessing: Preprocessing, name: str) -> Tensor:
    """The first half of :func:`prepare`: convert, resize, crop, as uint8 (C, H, W); errors call it ``name``."""
    image = _convert(image, "L" if preprocessing.channels == 1 else "RGB", name, preprocessing.maximum)
    shorter, longer = sorted(image.size)
    if preprocessing.resize not in (None, shorter):
        if preprocessing.resize**2 * longer > MAX_PIXELS * shorter:
            raise UnsafeInputError(
                f"{name} is {image.width} × {image.height} pixels; with its shorter side resized to "
                f"{preprocessing.resize} it would pass the limit of {MAX_PIXELS} pixels. Remove the image."
            )
        image = _resize(image, preprocessing.resize, Image.Resampling[preprocessing.interpolation.upper()])
    if preprocessing.crop is not None and image.size != (preprocessing.crop, preprocessing.crop):
        image = _crop(image, preprocessing.crop)
    values = torch.from_numpy(np.array(image))
    values = values[None] if values.dim() == 2 else values.permute(2, 0, 1)
    return values.transpose(1, 2) if preprocessing.transposed else values


def decoding(preprocessing: Preprocessing) -> tuple[object, ...]:
    """All that :func:`pixels` reads of ``preprocessing``: where it is equal, so are the pixels."""
    return (
        preprocessing.channels,
        preprocessing.maximum,
        preprocessing.resize,
        preprocessing.interpolation,
        preprocessing.crop,
        preprocessing.transposed,
    )


def prepare_pixels(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The second half of :func:`prepare`, for one image (C, H, W) or a batch (B, C, H, W): (x / 255 - mean) / std.

    Before mean and std, channels are reversed, x becomes 1 - x, and each image is standardized, where that is asked.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    x = pixels.to(torch.float32).div_(255)
    if preprocessing.order == "bgr":
        x = x.flip(-3)
    if preprocessing.inverted:
        x = 1 - x
    if preprocessing.by_example:
        x = standardized(x, (-2, -1))
    return x.sub_(mean).div_(std)


def prepare_arrays(inputs: Tensor, input_map: InputMap) -> Tensor:
    """A batch of arrays (B, C, *) as ``input_map`` has them; DataError where it does not fit their channels.

    >>> prepare_arrays(torch.tensor([[0.0, 255.0]]), InputMap(scale=(1 / 255,), shift=(-0.5,)))
    tensor([[-0.5000,  0.5000]])
    """
    if input_map.channels_last and inputs.dim() < 3:
        raise DataError(
            f"the preprocessing's arrays.channels_last moves the last of several dimensions, and arrays of shape "
            f"{tuple(inputs.shape[1:])} have one; leave it out."
        )
    inputs = inputs.movedim(-1, 1) if input_map.channels_last else inputs
    channels = inputs.shape[1]
    for name, values in (("scale", input_map.scale), ("shift", input_map.shift)):
        if len(values) not in (1, channels):
            raise DataError(
                f"the preprocessing's arrays.{name} has {len(values)} values, and the arrays have {channels} channels; "
                "give one value for all channels, or one for each."
            )
    if input_map.transposed and inputs.dim() < 4:
        raise DataError(
            f"the preprocessing's arrays.transposed exchanges rows and columns, and arrays of shape "
            f"{tuple(inputs.shape[1:])} have none; leave it out."
        )
    x = inputs.transpose(-2, -1) if input_map.transposed else inputs
    x = x.flip(1) if input_map.reversed_channels else x
    if input_map.by_example:
        x = standardized(x, tuple(range(2, x.dim())) or (1,))
    by_channel = (1, -1, *[1] * (x.dim() - 2))
    return x * torch.tensor(input_map.scale).view(by_channel) + torch.tensor(input_map.shift).view(by_channel)


def standardized(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """``x`` with mean 0 and variance 1 over ``dims``; 0 where it is constant there."""
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) / variance.clamp_min(1e-12).sqrt()


def require_preprocessing(preprocessing: Preprocessing | None, name: str) -> Preprocessing:
    """The preprocessing, which images cannot do without."""
    if preprocessing is None:
        raise DataError(
            f"{name} holds images, and the images need a preprocessing; pass --preprocessing (in Python "
            f"`preprocessing`) with the one the model was trained for, for example {{resize: 256, crop: 224}}, or "
            "of grey images {channels: 1, mean: [.5], std: [.5]}."
        )
    if preprocessing.auto:
        return preprocessing.model_copy(update={"auto": False})
    if preprocessing.arrays is not None and preprocessing == Preprocessing(arrays=preprocessing.arrays):
        raise DataError(
            f"{name} holds images, and the preprocessing has `arrays` alone, which is done to floating point arrays; "
            "give the mean, std, resize and crop of images without `arrays`, or give arrays."
        )
    return preprocessing


class Applied(NamedTuple):
    """What is applied to images, or to arrays, and what to say about it."""

    preprocessing: Preprocessing | None
    input_map: InputMap | None
    findings: tuple[Finding, ...]


def applied_preprocessing(preprocessing: Preprocessing | None, *, images: bool, name: str) -> Applied:
    """What is applied to images, or to floating point input: that is taken as it is unless ``arrays`` maps it."""
    if images:
        return Applied(require_preprocessing(preprocessing, name), None, ())
    if preprocessing is None or preprocessing.auto or preprocessing.arrays is not None:
        return Applied(None, None if preprocessing is None else preprocessing.arrays, ())
    message = f"{name} holds floating point network input, which is taken as it is; the preprocessing was not applied."
    return Applied(None, None, (Finding(code="preprocessing-unused", severity="info", message=message),))


def white(image: Image.Image) -> int:
    """The pixel value that stands for white in the type of ``image``: 255, or 65535 for 16 bits."""
    return 65535 if image.mode.startswith("I") else 255


def _convert(image: Image.Image, mode: str, name: str, maximum: int | None) -> Image.Image:
    """The image as 8-bit grey or RGB, with ``maximum`` as white; 16 bits are scaled to 8, so that white stays white."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{name} has pixels outside the 16-bit range 0 to 65535; save it with 8 or 16 bits.")
        if maximum is not None:
            values = (np.minimum(values, maximum) * 65535 + maximum // 2) // maximum
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        maximum = None
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without Pillow's advice to do this
    if image.mode == mode:
        return _brightened(image, maximum)
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"):
        raise DataError(f"{name} is a {image.mode} image, which is neither grey nor RGB; save it as 8-bit RGB.")
    return _brightened(image.convert(mode), maximum)


def _brightened(image: Image.Image, maximum: int | None) -> Image.Image:
    """The 8-bit ``image`` with ``maximum`` as white."""
    if maximum in (None, 255):
        return image
    return image.point([min(255, round(255 * value / maximum)) for value in range(256)] * len(image.getbands()))


# Pillow does both in one call, as torchvision has it done, whose import would take as long as torch's.
def _resize(image: Image.Image, shorter: int, resampling: Image.Resampling) -> Image.Image:
    """``image`` with its shorter side resized to that length; the longer one keeps the proportion, rounded down."""
    size = tuple(int(shorter * side / min(image.size)) for side in image.size)
    return image.resize((size[0], size[1]), resampling)


def _crop(image: Image.Image, side: int) -> Image.Image:
    """The central square of ``image``; what of it lies outside is black."""
    left, top = (round((length - side) / 2) if length >= side else -((side - length) // 2) for length in image.size)
    return image.crop((left, top, left + side, top + side))
