"""A tar archive as files, read in place and trusted in nothing."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from calibrate.data.files.gzip_stream import GzipStream, Mark
from calibrate.data.files.interface import Files
from calibrate.data.files.remote import RemotePath, reading_from
from calibrate.data.files.tar_members import DAMAGE, MemberStream, list_members
from calibrate.errors import DataError


class TarArchive(Files):
    """The members of a tar archive, plain or ``compressed`` with gzip; nothing is ever unpacked to disk.

    Opening reads the archive once, to check every member and take its checksum, which each later reading verifies.
    A plain archive is then read at any place; a compressed one forward, and back by way of its marks.
    """

    def __init__(self, path: Path | RemotePath, *, compressed: bool) -> None:
        self.path = path
        self.compressed = compressed
        self._marks: list[Mark] = []
        with self._stream() as stream:
            self.members, folders = list_members(stream, path)
            self._marks = stream.marks if isinstance(stream, GzipStream) else []
        super().__init__(tuple(self.members), folders)

    def checksum(self, name: str) -> tuple[int, int]:
        """Size and CRC-32, taken on opening."""
        return self.members[name].size, self.members[name].crc

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], bytes]]:
        """Lend the reader of one member; one thread reads at a time."""
        lock = Lock()
        with self._stream() as stream:

            def read(name: str) -> bytes:
                member = self.members[name]
                try:
                    with lock:
                        stream.seek(member.offset)
                        content = stream.read(member.size)
                except DAMAGE as error:
                    raise self._changed(name, str(error)) from None
                if len(content) != member.size or zlib.crc32(content) != member.crc:
                    raise self._changed(name, "its content is not what it was on opening")
                return content

            yield read

    @contextmanager
    def _stream(self) -> Iterator[MemberStream]:
        with reading_from(self.path) as raw:
            yield GzipStream(raw, self._marks) if self.compressed else raw

    def _changed(self, name: str, reason: str) -> DataError:
        return DataError(
            f"{name!r} in {self.path} is damaged or has changed ({reason}); write or download the archive again."
        )
