"""Examples that Python code yields: a DataLoader, a Dataset, a list."""

import hashlib
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from calibrate.data.broken import left_out
from calibrate.data.class_list import class_indices, places_said
from calibrate.data.element import Input, Keys, examples_in, read_input, stored_bytes, unpack
from calibrate.data.images import BrokenImageError, is_system_error
from calibrate.data.loading import load_in_order
from calibrate.data.preprocess import applied_preprocessing, pixels, white
from calibrate.data.source import Source
from calibrate.errors import DataError
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding

#: What is raised on an image that cannot be read: here, and by Pillow where a data set decodes by itself; but for
#: those OSErrors that are the system's.
DAMAGE = (BrokenImageError, OSError, SyntaxError, EOFError, struct.error)


class Examples(Source):
    """The (x, y) examples or batches that an object yields each time it is iterated, such as a DataLoader or a list.

    x is an image (PIL; 8-bit (H, W) or (H, W, C); an 8-bit tensor may have its channels first) or floating point
    network input (C, ...); y is a class index, or a batch of them. A map-style Dataset is read by index.
    An example or a batch may also be a mapping, with ``keys`` or the usual names for its input and label. Up to
    ``skip_broken`` images that cannot be read are left out.
    The first pass, made on opening, collects labels and fingerprint, so the iterable must end; later passes must
    yield the same labels. In memory is what the iterable itself holds, and the batches.
    """

    def __init__(
        self,
        data: Any,
        *,
        name: str,
        preprocessing: Preprocessing | None,
        classes: Sequence[str] | None = None,
        skip_broken: int = 0,
        keys: Keys | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> None:
        self._data, self._keys = data, keys
        self._by_index = _is_map_style(data, name)
        self._skips, self._broken, self._has_batches = skip_broken > 0, dict[str, str](), False
        digest = hashlib.sha256()
        labels: list[int] = []
        positions: list[int] = []
        kinds: set[bool] = set()
        for index, (position, value, label) in enumerate(self._walk(name)):
            digest.update(stored_bytes(value) + f"\0{label}\n".encode())
            labels.append(label)
            positions.append(position)
            kinds.add(isinstance(value, Image.Image))
            if len(kinds) > 1:
                raise DataError(
                    f"example {index} of {name} changes from images to floating point input or back; give one kind."
                )
        if not labels:
            raise DataError(f"the data ({name}) yield no examples; give at least one (x, y).")
        broken = [*self._broken.items()]
        findings += left_out(broken, len(labels) + len(broken), f"the data ({name})", skip_broken)
        self._one_per_index = self._by_index and not self._has_batches
        self._positions = positions if self._one_per_index else []
        applied = applied_preprocessing(preprocessing, images=True in kinds, name=f"the data ({name})")
        called = f"the labels of the data ({name})"
        self._labels = class_indices(np.array(labels), called)
        super().__init__(
            name=name,
            labels=self._labels,
            fingerprint=digest.hexdigest(),
            preprocessing=applied.preprocessing,
            input_map=applied.input_map,
            class_names=classes,
            listed=classes is not None,
            findings=findings + places_said(classes, called) + applied.findings,
        )

    def __len__(self) -> int:
        return len(self._labels)

    def entry(self, index: int) -> str:
        """The example's number."""
        return f"example {index} of {self.name}"

    def white(self, index: int) -> int:
        """See :meth:`Source.white`."""
        return next(white(value) if isinstance(value, Image.Image) else 255 for _, value in self._chosen([index]))

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        chosen = self._chosen(indices.tolist())
        if self.preprocessing is None:
            yield from (value for _, value in chosen if isinstance(value, Tensor))
        else:
            yield from load_in_order(self._pixels, chosen, ahead)

    def _pixels(self, numbered: tuple[int, Input]) -> Tensor:
        index, image = numbered
        assert self.preprocessing is not None
        assert isinstance(image, Image.Image)
        return pixels(image, self.preprocessing, self.entry(index))

    def _chosen(self, wanted: list[int]) -> Iterator[tuple[int, Input]]:
        """Number and input of the wanted examples, while every label that goes by is compared with the first pass."""
        place = 0
        for index, (value, label) in self._numbered(wanted):
            if label != self._labels[index]:
                raise DataError(
                    f"{self.entry(index)} had the label {self._labels[index]} in the first pass and has {label} now; "
                    f"every pass must yield the same examples in the same order, so turn shuffle off."
                )
            if isinstance(value, Tensor) != (self.preprocessing is None):
                raise DataError(f"{self.entry(index)} was an image in one pass and an array in another; give one kind.")
            if index == wanted[place]:
                yield index, value
                place += 1
                if place == len(wanted):
                    return
        raise DataError(
            f"the data ({self.name}) yielded {len(self)} examples in the first pass and fewer now; every pass must "
            f"yield the same examples in the same order."
        )

    def _numbered(self, wanted: list[int]) -> Iterator[tuple[int, tuple[Input, int]]]:
        """The examples with their numbers: only the wanted ones where they can be had by index, else all."""
        if not self._one_per_index:
            return enumerate((value, label) for _, value, label in self._walk(self.name))
        return (
            (index, pair)
            for index in wanted
            for pair in unpack(self._data[self._positions[index]], self.entry(index), self._keys)
        )

    def _walk(self, name: str) -> Iterator[tuple[int, Input, int]]:
        """All examples in order, each with its element's position, but those that are broken and may be left out."""
        for position, read in self._elements():
            try:
                examples = list(examples_in(read(), f"element {position} of {name}", self._keys))
            except DAMAGE as error:
                self._leave_out_(f"element {position}", error)
                continue
            self._has_batches |= len(examples) != 1
            for x, label, called in examples:
                try:
                    value = read_input(x, called)
                except DAMAGE as error:
                    self._leave_out_(called.removesuffix(f" of {name}"), error)
                    continue
                yield position, value, label

    def _leave_out_(self, called: str, error: Exception) -> None:
        """Note an example that is broken; where it may not be left out, or is not at fault, raise ``error``."""
        if not self._skips or is_system_error(error):
            raise error
        self._broken[called] = f"{error}"

    def _elements(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        """Each element's number, and what reads it."""
        if self._by_index:
            yield from ((index, partial(self._data.__getitem__, index)) for index in range(len(self._data)))
        else:
            yield from ((index, lambda element=element: element) for index, element in enumerate(self._iterated()))

    def _iterated(self) -> Iterator[Any]:
        """What the data yield; DataError where they raise on an image that might have been left out."""
        try:
            yield from self._data
        except DAMAGE as error:
            if not self._skips or is_system_error(error):
                raise
            kind = type(self._data).__name__
            raise DataError(
                f"the data ({kind}) raised {type(error).__name__} while they were iterated ({error}), so that no "
                "broken image can be left out. Pass the data set itself, which is read by index, or images not "
                "decoded yet."
            ) from error


def _is_map_style(data: Any, name: str) -> bool:
    """Whether the data are read by index rather than iterated; data that allow neither twice are refused."""
    if isinstance(data, Iterator):
        raise DataError(
            f"the data ({name}) can be iterated once only, but several passes are needed; pass what the iterator was "
            f"made from, such as a list or a DataLoader."
        )
    if hasattr(data, "__iter__"):
        return False
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return True
    raise DataError(
        f"the data are {name}, which cannot be iterated; pass the path of a directory, a .zip or an .npz file, or an "
        f"iterable of (x, y), such as a DataLoader."
    )
