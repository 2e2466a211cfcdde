"""A source whose chosen examples are held in memory, decoded once."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.derived.base import Derived
from calibrate.data.source import Source

#: How many examples may be decoded before the one before them is held.
AHEAD = 64


class Held(Derived):
    """The examples ``rows`` of ``source``, for passes in any order: a pass over an archive reads it from its start.

    Images are held as 8-bit pixels, cropped and not yet scaled. Asking for another row is a KeyError.

    Cost: each example is decoded once, and 3 bytes a pixel are held of an RGB image.
    """

    def __init__(self, source: Source, rows: NDArray[np.int64]) -> None:
        order = np.sort(rows)
        self._examples = dict(zip(order.tolist(), source._stream(order, AHEAD), strict=True))
        super().__init__(source)

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:  # noqa: ARG002
        yield from (self._examples[index] for index in indices.tolist())
