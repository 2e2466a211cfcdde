"""Files that lie in no archive, each opened by itself."""

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from calibrate.data.files.interface import MAX_BYTES, Files
from calibrate.errors import UnsafeInputError


class LooseFiles(Files):
    """The files of a directory, which errors call ``shown``."""

    shown: str

    @abstractmethod
    def opened(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Lend the content of a file; what goes wrong until it is given back is a DataError that names it."""

    def checksum(self, name: str) -> tuple[int, int]:
        """Size and CRC-32, read in blocks."""
        size = crc = 0
        with self.opened(name) as file:
            while block := file.read(2**20):
                size += len(block)
                crc = zlib.crc32(block, crc)
        return size, crc

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], bytes]]:
        """Lend the reader of one file."""
        yield self._read

    def _read(self, name: str) -> bytes:
        with self.opened(name) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UnsafeInputError(
                f"{name!r} in {self.shown} is larger than the limit of {MAX_BYTES // 2**20} MiB; remove it."
            )
        return content
