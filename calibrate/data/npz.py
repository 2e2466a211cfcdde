"""Inputs, and maybe labels, in an .npz file."""

import hashlib
import re
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.class_list import places_said, stored_labels
from calibrate.data.files.remote import RemotePath
from calibrate.data.files.zip_archive import checked_members, open_zip
from calibrate.data.images import IMAGE_CHANNELS, as_image, check_pixels
from calibrate.data.loading import load_in_order
from calibrate.data.parts import ANY_PART, Part, part_of, with_part
from calibrate.data.preprocess import applied_preprocessing, pixels
from calibrate.data.source import Source
from calibrate.data.stored_array import Array, StoredArray
from calibrate.errors import DataError
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding

#: What the inputs and the labels may be called, in any capitals; of several parts each with its name before or behind:
#: train_images and train_labels as in MedMNIST's files, x_train and y_train as in Keras' ones.
INPUTS = ("x", "xs", "image", "images", "img", "imgs", "data", "input", "inputs")
LABELS = ("y", "ys", "label", "labels", "target", "targets")
WANTED = "such as x and y, images and labels, or data and target"


class Npz(Source):
    """Two arrays in an ``.npz`` file: inputs and labels, by their names in :data:`INPUTS` and :data:`LABELS`.

    A file that holds nothing but inputs of such a name is data without labels. Of a file with several such pairs, for
    the parts train, val and test, the ``part`` that is wanted is read. Labels are (N,), a column (N, 1) or one-hot
    rows (N, K).
    uint8 inputs (N, H, W) or (N, H, W, C) with C = 1, 3 or 4 are images; floating point inputs (N, F) or (N, C, ...)
    are network input as it is. Opening reads the file once, to verify its checksums; a pass reads the inputs row by
    row, from the first to the last one wanted.
    """

    def __init__(
        self,
        path: Path | RemotePath,
        *,
        name: str,
        preprocessing: Preprocessing | None,
        classes: Sequence[str] | None = None,
        part: Part = ANY_PART,
        skip_broken: int = 0,  # noqa: ARG002 (as other files; a row whose checksum holds is never broken)
    ) -> None:
        with open_zip(path) as archive:
            members = checked_members(archive, path)
        arrays = sorted(member.removesuffix(".npy") for member in members if member.endswith(".npy"))
        pair, chosen, findings = _pair(arrays, name, part)
        inputs, *labels = (StoredArray(path, members[f"{array}.npy"]) for array in pair)
        self._images = _holds_images(inputs)
        for array in labels:
            if inputs.shape[0] != array.shape[0]:
                raise DataError(
                    f"{inputs.name} has {inputs.shape[0]} rows but {pair[1]!r} has {array.shape[0]}; give one label "
                    f"per row."
                )
        inputs.verify()
        applied = applied_preprocessing(preprocessing, images=self._images, name=name)
        indices, said = stored_labels(labels[0].read(), f"the labels {labels[0].name}") if labels else (None, ())
        said += places_said(classes, f"the labels {labels[0].name}") if labels else ()
        parted = _part_array(pair[0]) is not None
        unused = [array for array in arrays if array not in pair and not (parted and _part_array(array))]
        super().__init__(
            name=with_part(name, chosen),
            labels=indices,
            fingerprint=_fingerprint(inputs, *labels),
            preprocessing=applied.preprocessing,
            input_map=applied.input_map,
            class_names=classes,
            listed=classes is not None,
            findings=findings + said + applied.findings + _unused_arrays(unused, name),
        )
        self._inputs = inputs

    def __len__(self) -> int:
        return self._inputs.shape[0]

    def entry(self, index: int) -> str:
        """The row's number."""
        return f"row {index} of {self._inputs.name}"

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        rows = self._inputs.rows(indices)
        if self._images:
            yield from load_in_order(self._pixels, rows, ahead)
        else:
            yield from (torch.from_numpy(row.astype(np.float32)) for _, row in rows)

    def _pixels(self, row: tuple[int, Array]) -> Tensor:
        index, values = row
        assert self.preprocessing is not None
        return pixels(as_image(values), self.preprocessing, self.entry(index))


def _pair(arrays: list[str], name: str, part: Part) -> tuple[tuple[str, ...], str | None, tuple[Finding, ...]]:
    """The names of the inputs and the labels, or of the inputs alone; where they are of a part, it and what to say."""
    parts: dict[str, list[str]] = {}
    for array in arrays:
        if (found := _part_array(array)) is not None:
            parts.setdefault(found, []).append(array)
    held = ", ".join(map(repr, arrays)) or "none"
    if part.named is None and (pair := _one_pair(arrays)) is not None and (len(pair) > 1 or arrays == [*pair]):
        return pair, _part_array(pair[0]), ()
    if part.named is None and not parts:
        raise DataError(
            f"{name} must hold one array of inputs and one of labels, {WANTED}, or without labels inputs alone, or "
            f"such pairs of several parts as in train_images and train_labels, or x_test and y_test; it holds {held}. "
            "Rename the arrays."
        )
    if not parts:
        part.refuse(name, f"its arrays are {held}")
    chosen, findings = part.choose(parts.keys(), name)
    if (pair := _one_pair(parts[chosen])) is None:
        raise DataError(
            f"the part {chosen} of {name} must hold one array of inputs and one of labels, {WANTED}; it holds "
            f"{', '.join(map(repr, sorted(parts[chosen])))}. Rename the arrays."
        )
    return pair, chosen, findings


def _one_pair(arrays: Sequence[str]) -> tuple[str, ...] | None:
    """The one array of inputs and the one of labels, or inputs alone; None where there are others or several.

    >>> _one_pair(["X", "y", "weights"]), _one_pair(["val_images"]), _one_pair(["x", "data", "y"])
    (('X', 'y'), ('val_images',), None)
    """
    inputs, labels = ([array for array in arrays if _role(array) in of] for of in (INPUTS, LABELS))
    return (*inputs, *labels) if len(inputs) == 1 and len(labels) < 2 else None


def _part_array(array: str) -> str | None:
    """The name of the part, of an array that is named by a part and by what it holds, in either order.

    >>> _part_array("val_images"), _part_array("X_test"), _part_array("train_set_x"), _part_array("weights")
    ('val', 'test', 'train_set', None)
    """
    return None if (found := _named_by(array)) is None else found[0]


def _role(array: str) -> str:
    """What an array holds, by its name: in small letters, without the part."""
    return array.lower() if (found := _named_by(array)) is None else found[1]


def _named_by(array: str) -> tuple[str, str] | None:
    """The part and the role that an array is named by; None where it is not named by both."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+|[0-9]+", array)
    for place in range(1, len(words)):
        first, second = "_".join(words[:place]), "_".join(words[place:])
        for named, role in ((first, second), (second, first)):
            if role.lower() in INPUTS + LABELS and part_of(named) is not None:
                return named, role.lower()
    return None


def _holds_images(inputs: StoredArray) -> bool:
    """Whether the inputs are images, which their dtype says; their shape must agree."""
    shape, dtype = inputs.shape, inputs.dtype
    if dtype == np.uint8:
        if len(shape) != 3 and not (len(shape) == 4 and shape[3] in IMAGE_CHANNELS):
            raise DataError(
                f"{inputs.name} is uint8 of shape {shape}; images have the shape (N, H, W) or (N, H, W, C) with "
                f"1, 3 or 4 channels in the last place. Transpose it, or give floating point network input."
            )
        check_pixels(shape[2], shape[1], f"each row of {inputs.name}")
        return True
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8) or len(shape) < 2:
        raise DataError(
            f"{inputs.name} is {dtype} of shape {shape}; give images as uint8 of shape (N, H, W) or (N, H, W, C), or "
            f"network input as float16, float32 or float64 of shape (N, F) or (N, C, ...)."
        )
    return False


def _fingerprint(*arrays: StoredArray) -> str:
    """SHA-256 over name, size and CRC-32 of the members; the CRC covers dtype and shape."""
    members = [array.member for array in arrays]
    rows = [f"{member.filename}\0{member.file_size}\0{member.CRC}\n" for member in members]
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _unused_arrays(unused: list[str], name: str) -> tuple[Finding, ...]:
    if not unused:
        return ()
    message = f"{len(unused)} arrays of {name} were not used, the first is {unused[0]!r}."
    return (Finding(code="arrays-unused", severity="info", message=message),)
