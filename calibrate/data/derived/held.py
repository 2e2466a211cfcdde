"""A source whose chosen examples are held in memory, decoded once."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.source import Source

#: How many examples may be decoded before the one before them is held.
AHEAD = 64


class Held(Source):
    """The examples ``rows`` of ``source``, for passes in any order: a pass over an archive reads it from its start.

    Images are held as 8-bit pixels, cropped and not yet scaled. Asking for another row is a KeyError.
    """

    def __init__(self, source: Source, rows: NDArray[np.int64]) -> None:
        order = np.sort(rows)
        self._examples = dict(zip(order.tolist(), source._stream(order, AHEAD), strict=True))
        self._source = source
        super().__init__(
            name=source.name,
            labels=source.labels,
            fingerprint=source.fingerprint,
            preprocessing=source.preprocessing,
            class_names=source.class_names,
            listed=source.listed,
            findings=source.findings,
        )

    def __len__(self) -> int:
        return len(self._source)

    def entry(self, index: int) -> str:
        """The example's name in the source."""
        return self._source.entry(index)

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:  # noqa: ARG002
        yield from (self._examples[index] for index in indices.tolist())
