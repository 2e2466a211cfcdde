"""Uploads that are not complete: files that grow at their end, and that nothing else can see."""

import os
from collections.abc import Iterator
from pathlib import Path


class Partials:
    """One file for each open upload under ``root``; the length of the file is how far the upload is."""

    def __init__(self, root: Path) -> None:
        self.root = root / "uploads"
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, identity: str) -> Path:
        """The file of the upload."""
        return self.root / f"{identity}.part"

    def create(self, identity: str) -> None:
        """Begin an upload of no bytes yet."""
        self.path(identity).touch(mode=0o600, exist_ok=False)

    def size(self, identity: str) -> int | None:
        """How many bytes have arrived; None where there is no such upload."""
        try:
            return self.path(identity).stat().st_size
        except FileNotFoundError:
            return None

    def write_at(self, identity: str, offset: int, content: bytes) -> None:
        """Write ``content`` from ``offset`` on; the file must be at least so long."""
        descriptor = os.open(self.path(identity), os.O_WRONLY | os.O_CLOEXEC)
        try:
            view = memoryview(content)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
        finally:
            os.close(descriptor)

    def discard(self, identity: str) -> None:
        """Forget the upload and its bytes, if it is there."""
        self.path(identity).unlink(missing_ok=True)

    def identities(self) -> Iterator[str]:
        """All uploads that have a file."""
        for path in sorted(self.root.glob("*.part")):
            yield path.stem
