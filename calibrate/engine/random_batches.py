"""Some of a source's examples in random order, as training takes them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data import Source
from calibrate.engine.predict import Setting
from calibrate.stats import Batches


class RandomBatches(Batches):
    """The examples ``indices`` in batches of the setting's size, drawn at random from ``seed``; the last may be less.

    Data often lie in the order of their classes, and batches of neighbours would be unlike those of training.
    """

    def __init__(
        self, source: Source, indices: NDArray[np.int64], setting: Setting, dtype: torch.dtype, seed: int
    ) -> None:
        self._source, self._setting, self._dtype = source, setting, dtype
        self._indices = np.random.Generator(np.random.PCG64(seed)).permutation(indices)

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        size = self._setting.batch_size
        for begin in range(first, len(self._indices), size):
            for batch in self._source.batches(self._indices[begin : begin + size], size):
                yield begin, batch.inputs.to(self._setting.device, self._dtype)
