"""Partial uploads: one file for each upload that is not complete."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import BusyUploadError


class Partial:
    """A partial upload that this process has locked; ``size`` bytes of it were received."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    def append(self, content: bytes | bytearray) -> None:
        """Append ``content``."""
        with self.path.open("r+b", buffering=0) as stream:
            stream.seek(self.size)
            with memoryview(content) as view:
                start = 0
                while start < len(view):
                    start += stream.write(view[start:])
        self.size += len(content)

    def clear(self) -> None:
        """Discard all bytes."""
        os.truncate(self.path, 0)
        self.size = 0


class Partials:
    """The partial uploads under ``root``; the size of a file is the offset of its upload."""

    def __init__(self, root: Path) -> None:
        self._root = root / "uploads"
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, identity: str) -> None:
        """Create an empty partial upload."""
        self._path(identity).touch(mode=0o600, exist_ok=False)

    def size(self, identity: str) -> int | None:
        """The number of bytes received; None where there is no such upload."""
        try:
            return self._path(identity).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def lock(self, identity: str) -> Iterator[Partial]:
        """Lock the upload against all other writers; the kernel frees the lock if this process dies.

        Raises BusyUploadError while another request has it locked, or where another has completed or aborted it.
        """
        try:
            stream = self._path(identity).open("rb")
        except FileNotFoundError:
            raise _busy(identity) from None
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _busy(identity) from None
            if os.fstat(stream.fileno()).st_nlink == 0:
                raise _busy(identity)
            yield Partial(self._path(identity))

    def discard(self, identity: str) -> None:
        """Delete the upload and its bytes, if it exists."""
        self._path(identity).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[str]:
        """The uploads that nothing was written to for so many seconds."""
        before = time.time() - seconds
        for path in sorted(self._root.glob("*.part")):
            if path.stat().st_mtime < before:
                yield path.stem

    def _path(self, identity: str) -> Path:
        return self._root / f"{identity}.part"


def _busy(identity: str) -> BusyUploadError:
    return BusyUploadError(
        f"another request writes to the upload {identity!r}, or has just completed or deleted it; wait a moment, then "
        "read its offset.",
        headers={"Retry-After": "1"},
    )
