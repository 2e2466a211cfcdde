"""Inputs, and maybe labels, in an .npz file."""

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.class_list import class_indices
from calibrate.data.files.remote import RemotePath
from calibrate.data.files.zip_archive import checked_members, open_zip
from calibrate.data.images import IMAGE_CHANNELS, as_image, check_pixels
from calibrate.data.loading import load_in_order
from calibrate.data.preprocess import applied_preprocessing, pixels
from calibrate.data.source import Source
from calibrate.data.stored_array import Array, StoredArray
from calibrate.errors import DataError
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding

#: The names that the inputs and the labels may have.
PAIRS = (("x", "y"), ("images", "labels"), ("data", "target"))


class Npz(Source):
    """Two arrays in an ``.npz`` file: inputs and labels, named x and y, images and labels, or data and target.

    A file that holds nothing but inputs of such a name is data without labels.
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
    ) -> None:
        with open_zip(path) as archive:
            members = checked_members(archive, path)
        arrays = sorted(member.removesuffix(".npy") for member in members if member.endswith(".npy"))
        pair = _pair(arrays, name)
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
        super().__init__(
            name=name,
            labels=class_indices(labels[0].read(), f"the labels {labels[0].name}") if labels else None,
            fingerprint=_fingerprint(inputs, *labels),
            preprocessing=applied.preprocessing,
            input_map=applied.input_map,
            class_names=classes,
            listed=classes is not None,
            findings=applied.findings + _unused_arrays([array for array in arrays if array not in pair], name),
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


def _pair(arrays: list[str], name: str) -> tuple[str, ...]:
    """The names of the inputs and the labels, or of the inputs alone."""
    if len(arrays) == 1 and any(arrays[0] == inputs for inputs, _ in PAIRS):
        return tuple(arrays)
    found = [pair for pair in PAIRS if set(pair) <= set(arrays)]
    if len(found) == 1:
        return found[0]
    wanted = "x and y, images and labels, or data and target"
    held = ", ".join(map(repr, arrays)) or "none"
    raise DataError(
        f"{name} must hold one pair of arrays named {wanted}, or without labels x, images or data alone; it holds "
        f"{held}. Rename the arrays."
    )


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
