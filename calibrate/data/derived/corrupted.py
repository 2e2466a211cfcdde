"""A source whose images are corrupted."""

from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from calibrate.data.c_style import SMALLEST_SIDE, corrupt, require_corruptions
from calibrate.data.derived.base import Derived
from calibrate.data.source import Source
from calibrate.errors import DataError
from calibrate.steps import Corruption, c_style

NO_PIXELS = "it holds floating point network input, and corruptions are made in 8-bit pixels; give images"


class Corrupted(Derived):
    """The images of ``source`` with one C-style corruption, made after resizing and cropping.

    What becomes of an image depends on its pixels, its index in the source, the corruption, the severity and ``seed``
    alone. Severities draw the same random numbers, so that they differ in strength only. A grey image is corrupted as
    an RGB image of three equal channels, the first of which is kept: noise is as strong as in colour.

    Raises UnavailableError without the library; DataError for data that :func:`obstacle` names.
    """

    def __init__(self, source: Source, corruption: Corruption, severity: int, seed: int) -> None:
        require_corruptions()
        if source.preprocessing is None:
            raise DataError(f"{source.name} cannot be corrupted: {NO_PIXELS}.")
        self._corruption, self._severity, self._seed = corruption, severity, seed
        name = f"{source.name}, {c_style(corruption)}, severity {severity}"
        super().__init__(source, f"\0{corruption}\0{severity}\0{seed}".encode(), name=name)

    def _changed(self, example: Tensor, index: int) -> Tensor:
        if min(example.shape[1:]) < SMALLEST_SIDE:
            raise DataError(f"{self.entry(index)} cannot be corrupted: {_too_small(example)}.")
        image = example.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
        entropy = (self._seed, index, int.from_bytes(self._corruption.encode()))
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        corrupted = corrupt(image, self._corruption, self._severity, seed)
        return torch.from_numpy(corrupted.transpose(2, 0, 1)[: len(example)].copy())


def obstacle(source: Source, index: int) -> str | None:
    """Why the images of ``source`` cannot be corrupted, judged by the one at ``index``; None where they can."""
    if source.preprocessing is None:
        return NO_PIXELS
    with closing(source._stream(np.array([index]), 1)) as stream:
        pixels = next(stream)
    return _too_small(pixels) if min(pixels.shape[1:]) < SMALLEST_SIDE else None


def _too_small(pixels: Tensor) -> str:
    height, width = pixels.shape[1:]
    return (
        f"the network sees {width} × {height} pixels, and C-style corruptions are made for sides of {SMALLEST_SIDE} "
        "pixels and more"
    )
