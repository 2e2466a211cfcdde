"""A directory behind a URL as files."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from calibrate.data.files.interface import Listed
from calibrate.data.files.loose_files import LooseFiles
from calibrate.data.files.remote import RemotePath
from calibrate.errors import DataError


class RemoteDirectory(LooseFiles):
    """The files below a directory of an fsspec filesystem, or the ``listed`` ones only.

    Opening reads every file once, for its checksum.
    """

    def __init__(self, root: RemotePath, listed: Listed | None = None) -> None:
        self.root = root
        self.shown = str(root)
        if listed is None:
            with _errors("", root):
                names = root.below()
        else:
            names = list(listed.names)
            for name in () if listed.may_lack else names:
                with _errors(name, root):
                    if not (root / name).is_file():
                        raise FileNotFoundError("it is missing, or is no file")
        super().__init__(tuple(names), frozenset())

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Lend the content of a file."""
        with _errors(name, self.root), (self.root / name).open() as file:
            yield file


@contextmanager
def _errors(name: str, root: RemotePath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{name!r} in {root}" if name else str(root)
        raise DataError(f"{what} cannot be read: {error}; check that it is there and readable.") from None
