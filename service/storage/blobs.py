"""Blobs on the local disk, ``sha256/ab/cd…``; a blob is complete or absent."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.errors import ChecksumError


@dataclass(frozen=True, slots=True)
class Blob:
    """The SHA-256 and size of stored bytes."""

    sha256: str
    size: int


class Blobs:
    """Immutable bytes under ``root``, named by their SHA-256.

    A blob gets its name by one hard link, after its bytes are on the disk. So a name that exists has all its bytes,
    even after a crash. Storing bytes again keeps the stored file, and sets its modification time to now.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "sha256"
        self._staging = root / "staging"
        for folder in (self.root, self._staging):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = root / "blobs.lock"
        self._lock.touch(mode=0o600)

    def path(self, sha256: str) -> Path:
        """The path of the blob, whether or not it exists; for reading only."""
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise ValueError(f"{sha256!r} is not 64 lower-case hexadecimal digits")
        return self.root / sha256[:2] / sha256[2:]

    def size(self, sha256: str) -> int | None:
        """The size of the blob in bytes; None where there is no such blob."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def link(self, file: Path, *, expected: str | None = None) -> Blob:
        """Sync ``file``, which is on the same disk, and store it by a hard link.

        Raises ChecksumError, and stores nothing, where its SHA-256 is not ``expected``.
        """
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            if expected not in (None, sha256):
                raise ChecksumError(f"the bytes have the SHA-256 {sha256}, and {expected} was expected.")
            os.fsync(stream.fileno())
            size = os.fstat(stream.fileno()).st_size
        file.chmod(0o400)
        self._publish(file, sha256)
        return Blob(sha256, size)

    def copy(self, file: Path) -> Blob:
        """Store a copy of the regular file ``file``, which may be on any disk; a symbolic link is refused."""
        with tempfile.NamedTemporaryFile(dir=self._staging, delete=False) as part:
            staged = Path(part.name)
            try:
                with _open_regular(file) as source:
                    shutil.copyfileobj(source, part, 2**20)
                part.flush()
                return self.link(staged)
            finally:
                staged.unlink(missing_ok=True)

    def delete(self, sha256: str, *, older_than: float) -> bool:
        """Delete the blob, unless it was stored within the last ``older_than`` seconds; whether it is gone."""
        path = self.path(sha256)
        with self._locked(fcntl.LOCK_EX):
            if path.exists() and path.stat().st_mtime >= time.time() - older_than:
                return False
            path.unlink(missing_ok=True)
        return True

    def older_than(self, seconds: float) -> Iterator[Blob]:
        """The blobs that were last stored more than so many seconds ago."""
        before = time.time() - seconds
        for path in sorted(self.root.glob("??/*")):
            stat = path.stat()
            if stat.st_mtime < before:
                yield Blob(path.parent.name + path.name, stat.st_size)

    def staged(self, seconds: float) -> Iterator[Path]:
        """The leftovers of interrupted copies, older than so many seconds."""
        before = time.time() - seconds
        for path in sorted(self._staging.iterdir()):
            if path.stat().st_mtime < before:
                yield path

    def _publish(self, file: Path, sha256: str) -> None:
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(fcntl.LOCK_SH):
            with suppress(FileExistsError):
                target.hardlink_to(file)
            os.utime(target)
        _sync_folder(target.parent)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """A lock across processes: shared to store, exclusive to delete, so that nothing just stored is deleted."""
        with self._lock.open("rb") as stream:
            fcntl.flock(stream, how)
            yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_regular(file: Path) -> BinaryIO:
    """Open a regular file. Its writer may replace it at any moment, so the open descriptor is tested, not the path."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"{file} is not a regular file")
    return open(descriptor, "rb")  # noqa: PTH123 (a descriptor)
