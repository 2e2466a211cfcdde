"""What sources made of another source share."""

import hashlib
from abc import abstractmethod
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Self, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.source import Source
from calibrate.preprocessing import InputMap, Preprocessing


class DerivedFacts(TypedDict, total=False):
    """What a derived source says of itself in place of what its source says."""

    name: str
    labels: NDArray[np.int64]
    class_names: Sequence[str] | None
    listed: bool


class Derived(Source):
    """The examples of ``source``, and all that it says of them, of which a subclass changes something.

    ``mark`` tells the data from the source's, and goes into the fingerprint; data that stay the same have none.
    ``changes`` stand in place of what the source says. An example becomes what :meth:`_changed` makes of it.
    """

    @abstractmethod
    def __init__(self, source: Source, mark: bytes | None = None, **changes: Unpack[DerivedFacts]) -> None:
        self._source = source
        own = source.fingerprint if mark is None else hashlib.sha256(source.fingerprint.encode() + mark).hexdigest()
        super().__init__(
            name=changes.get("name", source.name),
            labels=changes.get("labels", source.labels),
            fingerprint=own,
            preprocessing=source.preprocessing,
            class_names=changes.get("class_names", source.class_names),
            listed=changes.get("listed", source.listed),
            findings=source.findings,
            input_map=source.input_map,
        )

    def __len__(self) -> int:
        return len(self._source)

    def prepared_by(self, preparation: Preprocessing | InputMap) -> Self:
        """See :meth:`Source.prepared_by`."""
        other = super().prepared_by(preparation)
        other._source = self._source.prepared_by(preparation)
        return other

    def white(self, index: int) -> int:
        """See :meth:`Source.white`."""
        return self._source.white(index)

    def entry(self, index: int) -> str:
        """The example's name in the source."""
        return self._source.entry(index)

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        with closing(self._source._stream(indices, ahead)) as stream:
            for index, example in zip(indices.tolist(), stream, strict=True):
                yield self._changed(example, index)

    def _changed(self, example: Tensor, index: int) -> Tensor:  # noqa: ARG002  (what it becomes may depend on it)
        """What becomes of ``example``, the one at ``index``; unless overridden, it stays as it is."""
        return example
