"""Batches of numbered examples, which a re-estimation may need more than once."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

from torch import Tensor

from calibrate.data.element import input_key
from calibrate.errors import DataError, UsageError

#: A batch of inputs, maybe with labels.
BatchLike = Tensor | Sequence[Tensor] | Mapping[str, Any]


class Batches(ABC):
    """Inputs of a network in a fixed order, numbered in it."""

    @property
    def once(self) -> bool:
        """Whether there is no second pass to be had."""
        return False

    @abstractmethod
    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """A fresh pass from the batch that begins with the example ``first``: each batch, and its first number."""


def as_batches(given: Iterable[BatchLike] | Batches, samples: int | None = None) -> Batches:
    """The batches of a data loader or a list, cut after ``samples``; those that are numbered already as they are."""
    return given if isinstance(given, Batches) else IterableBatches(given, samples)


class IterableBatches(Batches):
    """The inputs of any iterable of batches, cut after ``samples``.

    Each is a tensor, a sequence that begins with it, or a mapping that has it by a usual name: ``pixel_values``.

    What the iterable cannot keep is an error: too few examples, other batches in a second pass, no second pass at all.
    """

    def __init__(self, batches: Iterable[BatchLike], samples: int | None, first: int = 0) -> None:
        if samples is None and not isinstance(batches, Sized):
            raise UsageError(
                f"the batches are a {type(batches).__name__}, which does not say how long it is and may never end; "
                "give `samples`, the number of examples to use."
            )
        self._batches, self._samples, self._first = batches, samples, first
        self._sums: dict[int, float] = {}
        self._begun = False

    @property
    def once(self) -> bool:
        """See :attr:`Batches.once`."""
        return isinstance(self._batches, Iterator) and iter(self._batches) is self._batches

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        if self._begun and self.once:
            raise DataError(
                "the batches can be gone through once only, and in_order needs them again, because what the network "
                "holds of them is over the `memory`; give a list or a data loader, raise `memory`, or use the order "
                "batch."
            )
        self._begun = True
        used = 0
        for batch in self._batches:
            x = _input_of(batch, used)
            if self._samples is not None:
                x = x[: self._samples - used]
            number, used = self._first + used, used + len(x)
            self._check_(number, x)
            if number >= first:
                yield number, x
            if used == self._samples:
                return
        if not used:
            raise DataError("there are no examples to re-estimate on; give one batch at least.")
        if self._samples is not None:
            raise DataError(f"wanted {self._samples} samples, the source has {used}; lower `samples` or add data.")

    def _check_(self, number: int, x: Tensor) -> None:
        total = float(x.double().sum())
        if self._sums.setdefault(number, total) != total:
            raise DataError(
                f"the batch that begins with example {number} differs from pass to pass; turn shuffling and random "
                "augmentation off."
            )


def _input_of(batch: BatchLike, first: int) -> Tensor:
    if isinstance(batch, Tensor):
        return batch
    if isinstance(batch, Mapping):
        x: Tensor = batch[input_key(batch, f"the batch that begins with example {first}")]
        return x
    return batch[0]
