"""A source each of whose examples comes as one of several sources has it."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.derived.base import Derived
from calibrate.data.source import Source
from calibrate.generators import numpy_generator
from calibrate.preprocessing import InputMap, Preprocessing


class InDomains(Derived):
    """The examples of ``domains``, sources of the same examples: each as one of them has it, as many from each.

    Which one is drawn with ``seed``. So a network meets all domains in one pass, and no example comes twice, which
    would make intervals over examples too narrow.
    """

    def __init__(self, domains: Sequence[Source], seed: int) -> None:
        self._domains = tuple(domains)
        first, *others = self._domains
        self._turns = numpy_generator(seed).permutation(len(first)) % len(self._domains)
        mark = "".join(f"\0{domain.fingerprint}" for domain in others).encode() + self._turns.astype("<i8").tobytes()
        super().__init__(first, mark, name="; ".join(domain.name for domain in self._domains))

    def prepared_by(self, preparation: Preprocessing | InputMap) -> Self:
        """See :meth:`Source.prepared_by`."""
        other = super().prepared_by(preparation)
        other._domains = tuple(domain.prepared_by(preparation) for domain in self._domains)
        return other

    def entry(self, index: int) -> str:
        """The example's name in its source."""
        turn: int = self._turns[index]
        return self._domains[turn].entry(index)

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        turns = self._turns[indices]
        with ExitStack() as stack:
            streams = {
                turn: stack.enter_context(closing(self._domains[turn]._stream(indices[turns == turn], ahead)))
                for turn in np.unique(turns).tolist()
            }
            for turn in turns.tolist():
                yield next(streams[turn])
