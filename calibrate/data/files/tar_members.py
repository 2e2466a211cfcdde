"""The members of a tar archive: all checked, none trusted."""

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

from calibrate.data.files.interface import check_size, checked_name
from calibrate.errors import DataError, UnsafeInputError

BLOCK = 2**20
#: The most bytes a header with a long name may have, and the most of zeros that may follow the archive's end.
MAX_HEADER = 2**20
MAX_PADDING = 2**20

#: What tarfile and zlib raise on damaged archives. A RecursionError comes from headers that announce headers.
DAMAGE = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, IndexError, OverflowError, RecursionError)


class MemberStream(Protocol):
    """What is read, plain or decompressed."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""

    def seek(self, place: int, /) -> int:
        """Go to a place."""

    def tell(self) -> int:
        """The place."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """Where a file's content lies in the archive, and what it is."""

    offset: int
    size: int
    crc: int


class Headers:
    """As much of a stream as tarfile needs to read headers, and never more at once."""

    def __init__(self, stream: MemberStream, archive: object) -> None:
        self.seek, self.tell = stream.seek, stream.tell
        self._stream = stream
        self._archive = archive

    def read(self, size: int) -> bytes:
        """The next bytes of a header."""
        if not 0 <= size <= MAX_HEADER:
            raise UnsafeInputError(
                f"{self._archive} has a header of {size} bytes, and no name needs more than {MAX_HEADER}; make the "
                f"archive again from the files themselves."
            )
        return self._stream.read(size)


def list_members(stream: MemberStream, archive: object) -> tuple[dict[str, TarMember], frozenset[str]]:
    """All files by name, and the folders, in one pass; an archive that holds anything else is refused."""
    files: dict[str, TarMember] = {}
    folders: set[str] = set()
    with _damage(str(archive), "is not a complete tar archive"):
        headers = cast("IO[bytes]", Headers(stream, archive))
        with tarfile.TarFile(fileobj=headers, encoding="utf-8", errors="surrogateescape") as found:
            while (member := found.next()) is not None:
                cast("Any", found).members.clear()  # tarfile would keep them all
                name = checked_name(member.name, archive)
                _check_kind(member, archive)
                if name in files or name in folders:
                    raise DataError(
                        f"{archive} has two members named {name!r}; make the archive with one of each name."
                    )
                if member.isdir():
                    folders.add(name)
                else:
                    files[name] = _file(member, name, stream, archive)
            end = found.offset
        _check_end(stream, end, archive)
    return files, frozenset(folders - {"."})


def _check_kind(member: tarfile.TarInfo, archive: object) -> None:
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise UnsafeInputError(
            f"{member.name!r} in {archive} is a link or a special file; put the files themselves in the archive."
        )


def _file(member: tarfile.TarInfo, name: str, stream: MemberStream, archive: object) -> TarMember:
    check_size(name, member.size, archive)
    with _damage(f"{name!r} in {archive}", "is damaged"):
        if member.size < 0:
            raise EOFError(f"it declares {member.size} bytes")
        stream.seek(member.offset_data)
        left, crc = member.size, 0
        while left:
            block = stream.read(min(left, BLOCK))
            if not block:
                raise EOFError("it is shorter than declared")
            left -= len(block)
            crc = zlib.crc32(block, crc)
    return TarMember(member.offset_data, member.size, crc)


def _check_end(stream: MemberStream, end: int, archive: object) -> None:
    """Refuse an archive whose listing ended where no archive ends: at a broken header, or before other content."""
    stream.seek(end)
    seen = 0
    while block := stream.read(tarfile.BLOCKSIZE):
        if block.strip(b"\0"):
            raise DataError(
                f"{archive} is damaged, or is two archives in one: it goes on at byte {end + seen} without a valid "
                f"header; write or download it again."
            )
        seen += len(block)
        if seen > MAX_PADDING:
            raise UnsafeInputError(f"{archive} goes on with zeros after its end; write or download it again.")
    if seen < tarfile.BLOCKSIZE:
        raise EOFError("its end is missing")


@contextmanager
def _damage(what: str, is_what: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"{what} {is_what} ({error}); write or download the archive again.") from None
