"""Uploads that are not complete: files that grow at their end, and that nothing else can see."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import BusyUploadError


class Partial:
    """An open upload, while it is this process's to change; ``size`` bytes of it have arrived."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    def append(self, content: bytes | bytearray) -> None:
        """Write ``content`` at the end."""
        with self.path.open("r+b", buffering=0) as stream:
            stream.seek(self.size)
            with memoryview(content) as left:
                start = 0
                while start < len(left):
                    start += stream.write(left[start:])
        self.size += len(content)

    def clear(self) -> None:
        """Forget all bytes."""
        os.truncate(self.path, 0)
        self.size = 0


class Partials:
    """One file for each open upload under ``root``; the length of the file is how far the upload is."""

    def __init__(self, root: Path) -> None:
        self._root = root / "uploads"
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, identity: str) -> None:
        """Begin an upload of no bytes yet."""
        self._path(identity).touch(mode=0o600, exist_ok=False)

    def size(self, identity: str) -> int | None:
        """How many bytes have arrived; None where there is no such upload."""
        try:
            return self._path(identity).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def hold(self, identity: str) -> Iterator[Partial]:
        """The upload, for one holder at a time in all processes; the kernel frees it if the holder dies.

        Raises BusyUploadError while another holds it, or when another has completed or aborted it.
        """
        try:
            stream = self._path(identity).open("rb")
        except FileNotFoundError:
            raise _changed(identity) from None
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _changed(identity) from None
            if os.fstat(stream.fileno()).st_nlink == 0:
                raise _changed(identity)
            yield Partial(self._path(identity))

    def discard(self, identity: str) -> None:
        """Forget the upload and its bytes, if it is there."""
        self._path(identity).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[str]:
        """The uploads to which nothing was written for so long."""
        before = time.time() - seconds
        for path in sorted(self._root.glob("*.part")):
            if path.stat().st_mtime < before:
                yield path.stem

    def _path(self, identity: str) -> Path:
        return self._root / f"{identity}.part"


def _changed(identity: str) -> BusyUploadError:
    return BusyUploadError(
        f"another request writes to the upload {identity!r}, or has just ended it; wait a moment, then ask where the "
        "upload stands.",
        headers={"Retry-After": "1"},
    )
