"""A source: examples, with or without labels, that can be streamed any number of times."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.class_list import check_classes
from calibrate.data.preprocess import prepare_arrays, prepare_pixels
from calibrate.data.thumbnails import thumbnail
from calibrate.errors import DataError
from calibrate.preprocessing import InputMap, Preprocessing
from calibrate.result import Finding


@dataclass(frozen=True, slots=True)
class Batch:
    """Network inputs (B, C, ...), and which examples of the source they are (B,)."""

    inputs: Tensor
    indices: NDArray[np.int64]


class Source(ABC):
    """Examples that can be streamed any number of times in a fixed order.

    ``name`` is how the user named the data and ``labels`` (n,) their classes, known without decoding an input; None
    where the data have none. ``fingerprint`` is the SHA-256 of what makes the data these data: inputs as stored, and
    labels.
    ``preprocessing`` is what is applied to images, None for arrays; these are taken as they are, unless ``input_map``
    is applied. ``class_names`` are in index order; ``listed`` says that the user gave them, so that the data may hold
    only some of the classes.
    """

    def __init__(
        self,
        *,
        name: str,
        labels: NDArray[np.int64] | None,
        fingerprint: str,
        preprocessing: Preprocessing | None,
        class_names: Sequence[str] | None,
        listed: bool,
        findings: tuple[Finding, ...] = (),
        input_map: InputMap | None = None,
    ) -> None:
        self.name = name
        self.labels = labels
        if labels is not None:
            labels.setflags(write=False)
        self.fingerprint = fingerprint
        self.preprocessing = preprocessing
        self.input_map = input_map
        self.class_names = None if class_names is None else check_classes(class_names, "the class list")
        self.listed = listed
        self.findings = findings

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def entry(self, index: int) -> str:
        """How an error names the example."""

    @abstractmethod
    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        """The examples at the ascending ``indices``: pixels (C, H, W) as uint8, or float32 network input (C, ...).

        :func:`load_in_order` says how many are decoded at once; ``ahead`` are asked for together.
        """

    @property
    def preparation(self) -> Preprocessing | None:
        """What makes network input of the examples, as one value; None where they are taken as they are."""
        if self.preprocessing is not None or self.input_map is None:
            return self.preprocessing
        return Preprocessing(arrays=self.input_map)

    def prepared_by(self, preparation: Preprocessing | InputMap) -> Self:
        """The same examples, images prepared by another preprocessing, or arrays by another map.

        Images stay as they are for a map, and arrays for a preprocessing.
        """
        other = copy.copy(self)
        if isinstance(preparation, InputMap):
            other.input_map = preparation if self.preprocessing is None else None
        elif self.preprocessing is not None:
            other.preprocessing = preparation
        return other

    def white(self, index: int) -> int:  # noqa: ARG002 (images may differ)
        """The pixel value that stands for white in the type of the image at ``index``: 255, or 65535 for 16 bits."""
        return 255

    def stored(self, indices: NDArray[np.int64]) -> Iterator[Tensor]:
        """The examples at the ascending ``indices`` before mean and std: uint8 pixels (C, H, W), or arrays (C, *)."""
        with closing(self._stream(indices, 1)) as stream:
            yield from stream

    def batches(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Stream the chosen examples in ascending order of index; each call is a fresh pass.

        In memory at any time: the batch in use, the one being put together, and what was decoded at once with its
        examples: up to 64, or another batch, in at most 64 MiB.
        """
        order = np.sort(np.asarray(indices, dtype=np.int64))
        outside = len(order) and (order[0] < 0 or order[-1] >= len(self))
        if batch_size < 1 or outside or (np.diff(order) == 0).any():
            raise ValueError(f"wanted a batch size from 1 on and distinct indices from 0 to {len(self) - 1}")
        shape: torch.Size | None = None
        with closing(self._stream(order, batch_size)) as stream:
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                examples = list(islice(stream, len(chosen)))
                for index, example in zip(chosen.tolist(), examples, strict=True):
                    shape = shape or example.shape
                    if example.shape != shape:
                        raise self._misfit(index, example.shape, int(order[0]), shape)
                yield Batch(self._collate(examples), chosen)

    def thumbnails(self, indices: Sequence[int]) -> dict[int, bytes]:
        """The chosen examples as small PNG files, as the network sees them; those that are no pictures are left out."""
        order = np.sort(np.asarray(indices, dtype=np.int64))
        if not len(order):
            return {}
        with closing(self._stream(order, 1)) as stream:
            made = zip(order.tolist(), map(thumbnail, stream), strict=True)
            return {index: content for index, content in made if content is not None}

    def check_outputs(self, outputs: int) -> None:
        """Refuse a model whose number of outputs does not fit the labels."""
        if self.class_names is not None and len(self.class_names) != outputs:
            count = len(self.class_names)
            if self.listed:
                raise DataError(
                    f"the class list has {count} names but the model has {outputs} outputs; pass the names of the "
                    f"model's classes, one for each output, in the order of the outputs."
                )
            raise DataError(
                f"the data have {count} class {'folder' if count == 1 else 'folders'} but the model has {outputs} "
                f"outputs; pass the model's class names, one per line, with --classes. Images without labels lie in no "
                f"folder."
            )
        if self.labels is None:
            return
        largest = int(self.labels.argmax())
        if self.labels[largest] >= outputs:
            from_1 = self.labels[largest] == outputs and self.labels.min() > 0
            raise DataError(
                f"{self.entry(largest)} has the label {self.labels[largest]} but the model has {outputs} outputs, "
                f"labels 0 to {outputs - 1}; "
                + (
                    "these labels seem to count from 1: subtract 1."
                    if from_1
                    else "pass data labelled with the model's classes, counted from 0."
                )
            )

    def _collate(self, examples: list[Tensor]) -> Tensor:
        inputs = torch.stack(examples)
        if self.preprocessing is not None:
            return prepare_pixels(inputs, self.preprocessing)
        return inputs if self.input_map is None else prepare_arrays(inputs, self.input_map)

    def _misfit(self, index: int, shape: torch.Size, first: int, wanted: torch.Size) -> DataError:
        if self.preprocessing is None:
            move = "give all examples the same shape."
        else:
            move = (
                "set crop in the preprocessing, so that all images end with the same size, for example --preprocessing "
                "'{resize: 256, crop: 224}'."
            )
        return DataError(
            f"{self.entry(index)} has the shape {tuple(shape)} but {self.entry(first)} has {tuple(wanted)}; {move}"
        )
