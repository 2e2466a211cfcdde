"""An array inside an .npz file, read in place."""

import math
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from calibrate.data.files.interface import MAX_BYTES
from calibrate.data.files.remote import RemotePath
from calibrate.data.files.zip_archive import member_errors, open_zip
from calibrate.errors import DataError, UnsafeInputError

Array = NDArray[np.generic]
BLOCK = 2**20


class StoredArray:
    """An array (N, ...) inside an ``.npz`` file, streamed from its first row on; nothing is ever unpickled."""

    def __init__(self, path: Path | RemotePath, member: zipfile.ZipInfo) -> None:
        self.path = path
        self.member = member
        self.name = f"{member.filename.removesuffix('.npy')!r} in {path}"
        with open_zip(path) as archive, member_errors(member.filename, path), archive.open(member) as stream:
            self.shape, fortran_order, self.dtype = _read_header(stream)
            self._offset = stream.tell()
        if self.dtype.hasobject:
            raise UnsafeInputError(
                f"{self.name} holds pickled objects, which can run code when read; save it as an array of numbers."
            )
        if fortran_order and len(self.shape) > 1:
            raise DataError(
                f"{self.name} is stored column by column and cannot be streamed by row; save numpy.ascontiguousarray "
                f"of it."
            )
        if math.prod(self.shape) == 0 or not self.shape:
            raise DataError(f"{self.name} has the shape {self.shape}, which holds no examples; give at least one row.")
        self.row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        if self.row_bytes > MAX_BYTES:
            raise UnsafeInputError(
                f"{self.name} has rows of {self.row_bytes} bytes, more than the limit of {MAX_BYTES // 2**20} MiB."
            )
        if min(self.shape) < 0 or member.file_size != self._offset + self.shape[0] * self.row_bytes:
            raise DataError(f"{self.name} does not hold the {self.shape} values it declares; write the file again.")

    def verify(self) -> None:
        """Read the array once, block by block, so that its checksum is compared."""
        with open_zip(self.path) as archive, member_errors(self.member.filename, self.path):
            with archive.open(self.member) as stream:
                left = self.member.file_size
                while block := stream.read(BLOCK):
                    left -= len(block)
            if left:
                raise EOFError("it is shorter than declared")

    def read(self) -> Array:
        """The whole array, of at most 256 MiB."""
        if self.member.file_size > MAX_BYTES:
            raise UnsafeInputError(f"{self.name} is larger than {MAX_BYTES // 2**20} MiB, which no labels should be.")
        with self._values() as stream, member_errors(self.member.filename, self.path):
            content = _read_exactly(stream, self.shape[0] * self.row_bytes)
        return np.frombuffer(content, self.dtype).reshape(self.shape)

    def rows(self, indices: NDArray[np.int64]) -> Generator[tuple[int, Array]]:
        """Number and values of the rows at the ascending ``indices``; the rows between are read and dropped."""
        position = 0
        with self._values() as stream:
            for index in indices.tolist():
                with member_errors(self.member.filename, self.path):
                    _skip(stream, (index - position) * self.row_bytes)
                    row = _read_exactly(stream, self.row_bytes)
                position = index + 1
                yield index, np.frombuffer(row, self.dtype).reshape(self.shape[1:])

    @contextmanager
    def _values(self) -> Iterator[IO[bytes]]:
        """Lend the stream of the values, past the header."""
        with open_zip(self.path) as archive:
            with member_errors(self.member.filename, self.path):
                stream = archive.open(self.member)
                _skip(stream, self._offset)
            with stream:
                yield stream


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its npy version {version} is neither 1.0 nor 2.0")
    try:
        return npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)
    except (OSError, EOFError, ValueError):
        raise
    except Exception as error:  # numpy reads the header of old files with Python's tokenizer
        raise ValueError(f"its npy header cannot be read: {type(error).__name__}") from error


def _skip(stream: IO[bytes], count: int) -> None:
    while count:
        count -= len(_read_exactly(stream, min(count, BLOCK)))


def _read_exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise EOFError("it is shorter than declared")
    return content
