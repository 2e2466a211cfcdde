"""Files behind a URL, read through fsspec; what a URL may carry in secrets is never shown."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from calibrate.errors import DataError, UnavailableError, UsageError

#: What begins like a URL, or like a chain of them.
URL = re.compile("[A-Za-z][A-Za-z0-9+.:-]*://")


class RemotePath:
    """A file or directory of an fsspec filesystem. Its text is the URL without user, password and query.

    Whatever goes wrong is an OSError that says what kind of error it was, not what the filesystem's own message says,
    which may hold the URL with its credentials.
    """

    def __init__(self, filesystem: Any, path: str, shown: str) -> None:
        self.filesystem = filesystem
        self.path = path
        self.shown = shown

    def __str__(self) -> str:
        return self.shown

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.shown.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the path, without a query."""
        return self.shown.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> "RemotePath":
        """The directory it lies in."""
        return RemotePath(self.filesystem, self.path.rpartition("/")[0], self.shown.rpartition("/")[0])

    def is_dir(self) -> bool:
        """Whether it is a directory, or a prefix that names begin with."""
        with discreet():
            return bool(self.filesystem.isdir(self.path))

    def is_file(self) -> bool:
        """Whether it is a file."""
        with discreet():
            return bool(self.filesystem.isfile(self.path))

    def below(self) -> list[str]:
        """The names of all files below the directory, relative to it."""
        root = self.path.rstrip("/") + "/"
        with discreet():
            return [str(path)[len(root) :] for path in self.filesystem.find(self.path) if str(path).startswith(root)]

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Open the file for reading."""
        with discreet():
            return io.BufferedReader(RemoteStream(self.filesystem.open(self.path, mode)))


class RemoteStream(io.RawIOBase):
    """An fsspec file with a place of its own, since handles of one in-memory file share theirs."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._place = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        if whence == io.SEEK_CUR:
            offset, whence = self._place + offset, io.SEEK_SET
        with discreet():
            self._stream.seek(offset, whence)
            self._place = int(self._stream.tell())
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read on from the place."""
        with discreet():
            self._stream.seek(self._place)
            content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        """Give the file back."""
        if not self.closed:
            super().close()
            with discreet():
                self._stream.close()


@contextmanager
def discreet() -> Iterator[None]:
    """Turn whatever a filesystem raises into an OSError that repeats nothing of its message."""
    try:
        yield
    except Exception as error:  # each filesystem raises what its own client raises
        number = error.errno if isinstance(error, OSError) else None
        raise OSError(os.strerror(number) if number else type(error).__name__) from None


def locate(text: str) -> Path | RemotePath:
    """The place behind a URL: a local path for ``file://``, otherwise a path of the protocol's filesystem."""
    shown = without_credentials(text)
    protocol = text.split("://", 1)[0].lower()
    if "::" in text:
        raise UsageError(f"{shown!r} chains filesystems with '::'; give the plain URL of the data.")
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise UsageError(
            f"{shown!r} begins with {protocol}://, a protocol that fsspec does not know; give a path, or a URL such as "
            f"file:///data/val.zip or s3://bucket/val.zip."
        ) from None
    except ImportError as error:
        raise UnavailableError(f"{shown!r} cannot be opened here: {error}.") from None
    try:
        with discreet():
            filesystem, path = fsspec.url_to_fs(text)
    except OSError as error:
        raise DataError(f"{shown!r} cannot be opened ({error}); check the URL and its credentials.") from None
    return Path(path) if protocol in ("file", "local") else RemotePath(filesystem, path, shown)


def without_credentials(url: str) -> str:
    """The URL without user, password, query and fragment; for local files and memory, the URL itself.

    Everything before the last @ is dropped, since keys may hold a slash: better a name too short than one too long.

    >>> without_credentials("s3://KEY:SEC/RET@bucket/val.zip?token=x")
    's3://bucket/val.zip'
    """
    protocol, rest = url.split("://", 1)
    if protocol.lower() in ("file", "local", "memory") and "::" not in url:
        return url
    return f"{protocol}://{re.split('[?#]', rest.rsplit('@', 1)[-1], maxsplit=1)[0]}"


@contextmanager
def reading_from(place: Path | RemotePath) -> Iterator[IO[bytes]]:
    """Lend the content of the file at ``place`` as a stream."""
    try:
        stream = place.open("rb")
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}.") from None
    with stream:
        yield stream
