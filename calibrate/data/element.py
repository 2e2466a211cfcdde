"""One element of an iterable: an example (x, y) or a batch of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from calibrate.data.images import IMAGE_CHANNELS, as_image
from calibrate.errors import DataError

#: An image, or floating point network input (C, ...) as float32.
Input = Image.Image | Tensor


def unpack(element: Any, name: str) -> Iterator[tuple[Input, int]]:
    """The examples in ``element``, one or a batch, as input and class index; errors call it ``name``."""
    if not isinstance(element, tuple | list) or len(element) != 2:
        raise DataError(
            f"{name} is {_describe(element)}, not a pair; let the data yield (x, y): the input and its class index."
        )
    inputs, labels = element[0], _labels(element[1], name)
    if labels.ndim == 0:
        yield _input(inputs, name), int(labels)
        return
    if _length(inputs) != len(labels):
        raise DataError(
            f"{name} has {len(labels)} labels for an input of {_describe(inputs)}; give each input one label."
        )
    for index, label in enumerate(labels.tolist()):
        yield _input(inputs[index], name), label


def stored_bytes(value: Input) -> bytes:
    """What makes an input this input: kind, shape and values."""
    if isinstance(value, Image.Image):
        return repr((value.mode, value.size, value.getpalette())).encode() + value.tobytes()
    return repr(tuple(value.shape)).encode() + value.numpy().tobytes()


def _labels(y: Any, name: str) -> NDArray[np.generic]:
    try:
        labels = np.asarray(y.tolist() if isinstance(y, Tensor) else y)
    except ValueError:
        labels = np.asarray(None)
    if labels.dtype.kind not in "iu" or labels.ndim > 1:
        raise DataError(
            f"{name} has the label {_describe(y)}; give the integer index of its class, or a batch of them."
        )
    return labels


def _input(x: Any, name: str) -> Input:
    if isinstance(x, Image.Image):
        try:
            x.load()
        except OSError as error:
            raise DataError(f"{name} has an image that cannot be read ({error}); replace or remove it.") from None
        return x
    values = x.detach().cpu() if isinstance(x, Tensor) else x
    if isinstance(values, Tensor) and values.dtype == torch.uint8:
        values = values.movedim(0, -1) if values.ndim == 3 and values.shape[0] in IMAGE_CHANNELS else values
        values = values.numpy()
    if isinstance(values, np.ndarray) and values.dtype == np.uint8:
        if values.size and (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in IMAGE_CHANNELS)):
            return as_image(values)
    elif isinstance(values, Tensor) and values.is_floating_point() and values.ndim:
        return values.to(torch.float32)
    elif isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim:
        return torch.from_numpy(values.astype(np.float32))
    raise DataError(
        f"{name} has {_describe(x)} as its input; give a PIL image, 8-bit pixels of shape (H, W) or (H, W, C) with "
        f"1, 3 or 4 channels, or floating point network input of shape (C, ...)."
    )


def _length(inputs: Any) -> int | None:
    """How many examples a batch of inputs has; None where it is no batch."""
    if isinstance(inputs, tuple | list):
        return len(inputs)
    return len(inputs) if isinstance(inputs, Tensor | np.ndarray) and inputs.ndim else None


def _describe(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} {value.dtype} of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 40 else type(value).__name__
