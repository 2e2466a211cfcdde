"""A zip archive as files, read in place and trusted in nothing."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from calibrate.data.files.interface import Files, check_size, checked_name
from calibrate.data.files.remote import RemotePath, reading_from
from calibrate.errors import DataError, UnsafeInputError

ENCRYPTED = 0x1 | 0x40 | 0x2000


class ZipArchive(Files):
    """The members of a zip archive; all their names, kinds and sizes are checked before one is read."""

    def __init__(self, path: Path | RemotePath) -> None:
        self.path = path
        with open_zip(path) as archive:
            members = checked_members(archive, path)
        self.members = {name: member for name, member in members.items() if not member.is_dir()}
        for name, member in self.members.items():
            check_size(name, member.file_size, path)
        super().__init__(tuple(self.members), frozenset(name for name in members if name not in self.members))

    def checksum(self, name: str) -> tuple[int, int]:
        """Size and CRC-32, as the central directory has them; reading verifies both."""
        return self.members[name].file_size, self.members[name].CRC

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], bytes]]:
        """Lend the reader of one member; one thread reads at a time."""
        lock = Lock()
        with open_zip(self.path) as archive:

            def read(name: str) -> bytes:
                member = self.members[name]
                with lock, member_errors(name, self.path), archive.open(member) as stream:
                    content = stream.read(member.file_size + 1)
                    if len(content) != member.file_size:
                        raise EOFError("it is shorter than declared")
                return content

            yield read


@contextmanager
def open_zip(path: Path | RemotePath) -> Iterator[zipfile.ZipFile]:
    """Lend a zip archive, open for reading."""
    with reading_from(path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error) as error:
            raise DataError(f"{path} is not a complete zip archive ({error}); write or download it again.") from None
        with archive:
            yield archive


def checked_members(archive: zipfile.ZipFile, path: Path | RemotePath) -> dict[str, zipfile.ZipInfo]:
    """All members by name, after refusing the archive that holds one which is unsafe or cannot be read."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        raw = member.orig_filename
        name = checked_name(raw, path)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeInputError(
                f"{raw!r} in {path} is a link or a special file; put the files themselves in the archive."
            )
        if member.flag_bits & ENCRYPTED:
            raise DataError(f"{raw!r} in {path} is encrypted; make the archive without a password.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{raw!r} in {path} is compressed by an unusual method; make the archive with deflate.")
        if name in members:
            raise DataError(f"{path} has two members named {name!r}; make the archive with one of each name.")
        members[name] = member
    return members


@contextmanager
def member_errors(name: str, path: Path | RemotePath) -> Iterator[None]:
    """Turn what zipfile raises on a damaged member into an error that names it."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error) as error:
        raise DataError(
            f"{name!r} in {path} is damaged or has changed ({error}); write or download the archive again."
        ) from None
