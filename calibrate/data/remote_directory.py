"""A directory behind a URL as files."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from calibrate.data.files import MAX_BYTES, Files
from calibrate.data.remote import RemotePath
from calibrate.errors import DataError, UnsafeInputError


class RemoteDirectory(Files):
    """The files below a directory of an fsspec filesystem, or the ``listed`` ones only.

    Opening reads every file once, for its checksum.
    """

    def __init__(self, root: RemotePath, listed: Sequence[str] | None = None) -> None:
        self.root = root
        if listed is None:
            with _errors("", root):
                names = root.below()
        else:
            names = list(listed)
            for name in names:
                with _errors(name, root):
                    if not (root / name).is_file():
                        raise FileNotFoundError("it is missing, or is no file")
        super().__init__(tuple(names), frozenset())

    def checksum(self, name: str) -> tuple[int, int]:
        """Size and CRC-32, read in blocks."""
        size = crc = 0
        with _errors(name, self.root), (self.root / name).open() as file:
            while block := file.read(2**20):
                size += len(block)
                crc = zlib.crc32(block, crc)
        return size, crc

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], bytes]]:
        """Lend the reader of one file."""
        yield self._read

    def _read(self, name: str) -> bytes:
        with _errors(name, self.root), (self.root / name).open() as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UnsafeInputError(
                f"{name!r} in {self.root} is larger than the limit of {MAX_BYTES // 2**20} MiB; remove it."
            )
        return content


@contextmanager
def _errors(name: str, root: RemotePath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{name!r} in {root}" if name else str(root)
        raise DataError(f"{what} cannot be read: {error}; check that it is there and readable.") from None
