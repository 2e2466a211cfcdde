"""Some of a source's examples as a re-estimation takes them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data import Source
from calibrate.engine.predict import Setting
from calibrate.stats import Batches


class SourceBatches(Batches):
    """The examples at the ascending ``indices``, numbered from 0; ``read`` counts those handed out."""

    def __init__(self, source: Source, indices: NDArray[np.int64], setting: Setting, dtype: torch.dtype) -> None:
        self._source, self._indices, self._setting, self._dtype = source, indices, setting, dtype
        self.read = 0

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        for batch in self._source.batches(self._indices[first:], self._setting.batch_size):
            self.read += len(batch.indices)
            yield first, batch.inputs.to(self._setting.device, self._dtype)
            first += len(batch.indices)
