"""A source whose examples are decoded once, as far as there is room to keep them."""

from collections.abc import Generator
from contextlib import closing
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.derived.base import Derived
from calibrate.data.kept import CacheBudget, KeptExamples
from calibrate.data.preprocess import decoding
from calibrate.data.source import Source
from calibrate.preprocessing import InputMap, Preprocessing


class Cached(Derived):
    """The examples of ``source``, each of which is kept when a pass decodes it, as far as ``budget`` has room.

    They are kept in memory, then in an unnamed file of the temporary folder; those beyond are decoded anew in each
    pass. Images are kept as 8-bit pixels, cropped and not yet scaled, so that preparations that differ in mean and std
    share them. Bits and order are the source's. Of an iterable that yields other values in each pass, the first are
    kept, and its labels are compared only in passes that still decode.

    ``budget`` is that of the nearest cached source which ``source`` is made of, so that all caches of a run share one;
    without any it is a :class:`CacheBudget` of its own. What is kept is given up with the last source that shares it.

    Cost: 3 bytes a pixel of an RGB image and 4 a value of an array, and with each example some hundred bytes of memory
    that the budget does not count; in each pass, a copy of each example.
    """

    def __init__(self, source: Source, budget: CacheBudget | None = None) -> None:
        self._kept = KeptExamples(budget or _budget_below(source) or CacheBudget())
        super().__init__(source)

    def prepared_by(self, preparation: Preprocessing | InputMap) -> Self:
        """See :meth:`Source.prepared_by`; what is kept is shared where both decode alike."""
        other = super().prepared_by(preparation)
        if _decoding(other) != _decoding(self):
            other._kept = KeptExamples(self._kept.budget)
        return other

    def fill_(self, indices: NDArray[np.int64]) -> None:
        """Keep the examples at ``indices``, in one pass that ends where the room does.

        Worth it before passes in any order: an archive that is compressed as a whole is best read from its start.
        """
        order = np.sort(indices)
        with closing(self._stream(order, 1)) as stream:
            for index, _ in zip(order.tolist(), stream, strict=True):
                if index not in self._kept:
                    return

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        missing = [index for index in indices.tolist() if index not in self._kept]
        if not missing:
            yield from map(self._kept.read, indices.tolist())
            return
        wanted = set(missing)
        with closing(self._source._stream(np.array(missing), ahead)) as stream:
            for index in indices.tolist():
                if index in wanted:
                    example = next(stream)
                    self._kept.keep_(index, example)
                    yield example
                else:
                    yield self._kept.read(index)


def cached(source: Source, budget: CacheBudget | None = None) -> Cached:
    """``source`` itself where it is cached already, else :class:`Cached` of it."""
    return source if isinstance(source, Cached) else Cached(source, budget)


def _budget_below(source: Source) -> CacheBudget | None:
    while isinstance(source, Derived):
        if isinstance(source, Cached):
            return source._kept.budget
        source = source._source
    return None


def _decoding(source: Source) -> tuple[object, ...] | None:
    return None if source.preprocessing is None else decoding(source.preprocessing)
