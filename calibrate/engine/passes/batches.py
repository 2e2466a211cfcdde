"""Some of a source's examples in random order, as training takes them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data import Source
from calibrate.engine.passes.setting import Setting
from calibrate.errors import DataError
from calibrate.generators import numpy_generator
from calibrate.stats import Batches
from calibrate.steps import ProbeCorruptions, Reestimate


class _OfSource(Batches):
    """The examples ``indices`` of ``source`` in batches of ``size``, on the device of ``setting`` and of that type."""

    def __init__(
        self, source: Source, indices: NDArray[np.int64], setting: Setting, dtype: torch.dtype, size: int
    ) -> None:
        self._source, self._indices, self._setting, self._dtype = source, indices, setting, dtype
        self._size = size


class RandomBatches(_OfSource):
    """The examples ``indices`` in batches of ``size``, drawn at random from ``seed``; the last may be less.

    Data often lie in the order of their classes, and batches of neighbours would be unlike those of training.
    """

    def __init__(
        self,
        source: Source,
        indices: NDArray[np.int64],
        setting: Setting,
        dtype: torch.dtype,
        seed: int,
        size: int | None = None,
    ) -> None:
        order = numpy_generator(seed).permutation(indices)
        super().__init__(source, order, setting, dtype, size or setting.statistics_batch)

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        for begin in range(first, len(self._indices), self._size):
            for batch in self._source.batches(self._indices[begin : begin + self._size], self._size):
                yield begin, self._setting.moved(batch.inputs, self._dtype)


class SourceBatches(_OfSource):
    """The examples at the ascending ``indices``, numbered from 0; ``read`` counts those handed out.

    ``size`` is that of a batch where it is part of the result.
    """

    def __init__(
        self,
        source: Source,
        indices: NDArray[np.int64],
        setting: Setting,
        dtype: torch.dtype,
        size: int | None = None,
    ) -> None:
        super().__init__(source, indices, setting, dtype, size or setting.batch_size)
        self.read = 0

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        for batch in self._source.batches(self._indices[first:], self._size):
            self.read += len(batch.indices)
            yield first, self._setting.moved(batch.inputs, self._dtype)
            first += len(batch.indices)


class EvaluatedBatches(SourceBatches):
    """:class:`SourceBatches` for passes in evaluation mode alone: in the memory format that is fast.

    Batch statistics that torch computes of such input lose digits on a CPU.
    """

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        for number, batch in super().after(first):
            yield number, self._setting.in_format(batch)


Indices = NDArray[np.int64]


def check_samples(step: Reestimate | ProbeCorruptions, which: str, available: int) -> None:
    """Raise DataError where ``step`` wants more than the ``available`` examples of what it works on."""
    if step.samples is not None and step.samples > available:
        raise DataError(
            f"wanted {step.samples} samples, the {which} {available}; lower `samples` in the step {step.kind}, or add "
            "data."
        )


def drawn(indices: Indices, samples: int | None, seed: int) -> Indices:
    """``samples`` of ``indices``, drawn without replacement, ascending; all of them for None."""
    if samples is None:
        return indices
    return np.sort(numpy_generator(seed).choice(indices, samples, replace=False))
