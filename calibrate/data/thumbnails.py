"""Thumbnails: an example small enough to be shown in a report."""

from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

#: A thumbnail's longer side in pixels, and its size as a file in bytes, at most.
SIDE = 64
BYTES = 4096

#: 64 × 64 pixels of as many colours fit into ``BYTES`` even where they are noise: 6 bits each.
COLORS = 64


def thumbnail(example: Tensor) -> bytes | None:
    """The example as a small PNG; None where it is no picture: not (C, H, W) with one or three channels.

    uint8 pixels are shown as they are. Floating point network input is stretched from its own lowest to its own
    highest value, which shows shapes and not true colours; values that are not finite count as 0.
    """
    if example.dim() != 3 or example.shape[0] not in (1, 3) or not example.numel():
        return None
    values = example if example.dtype == torch.uint8 else _stretched(example)
    image = Image.fromarray(values[0].numpy() if len(values) == 1 else values.permute(1, 2, 0).numpy())
    image.thumbnail((SIDE, SIDE))
    content = _png(image)
    return content if len(content) <= BYTES else _png(image.quantize(COLORS))


def _stretched(values: Tensor) -> Tensor:
    values = values.double().nan_to_num(0.0, 0.0, 0.0)
    values = values - values.amin()
    return (values * (255 / values.amax().clamp_min(1e-30))).round().to(torch.uint8)


def _png(image: Image.Image) -> bytes:
    written = BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()
