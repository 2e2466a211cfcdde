"""A directory as files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from calibrate.data.files.interface import Listed
from calibrate.data.files.loose_files import LooseFiles
from calibrate.errors import DataError, UnsafeInputError


class Directory(LooseFiles):
    """The files below a directory, or the ``listed`` ones only, none of which may lie outside it.

    Hidden folders are named, not entered.
    """

    def __init__(self, root: Path, listed: Listed | None = None) -> None:
        self.root = root.resolve()
        self.shown = str(root)
        if listed is not None:
            for name in listed.names:
                self._check_listed(name, may_lack=listed.may_lack)
            super().__init__(tuple(listed.names), frozenset())
            return
        names: list[str] = []
        folders: list[str] = []
        for path, is_folder in self._walk(self.root):
            (folders if is_folder else names).append(path.relative_to(self.root).as_posix())
        super().__init__(tuple(names), frozenset(folders))

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Lend the content of a file."""
        with _errors(name, self.shown), (self.root / name).open("rb") as file:
            yield file

    def _walk(self, folder: Path) -> Iterator[tuple[Path, bool]]:
        with _errors(folder.relative_to(self.root).as_posix(), self.shown):
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            path = Path(entry.path)
            self._check(entry, path.relative_to(self.root).as_posix())
            if not entry.is_dir(follow_symlinks=False):
                yield path, False
            elif entry.name.startswith("."):
                yield path, True
            else:
                yield path, True
                yield from self._walk(path)

    def _check_listed(self, name: str, *, may_lack: bool) -> None:
        path = self.root / name
        with _errors(name, self.shown):
            outside = not path.resolve().is_relative_to(self.root)
            readable = outside or may_lack or path.is_file()
        if outside:
            raise _leads_outside(name, self.shown)
        if not readable:
            raise DataError(
                f"{name!r} in {self.shown} is missing, or is no file; put it there or take it off the list."
            )

    def _check(self, entry: os.DirEntry[str], name: str) -> None:
        with _errors(name, self.shown):
            outside = entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(self.root)
            readable = entry.is_file() or entry.is_dir(follow_symlinks=False)
        if outside:
            raise _leads_outside(name, self.shown)
        if not readable:
            raise DataError(
                f"{name!r} in {self.shown} is neither a file nor a folder (a broken link, a link to a folder, or a "
                f"device); remove it or put the files themselves there."
            )


def _leads_outside(name: str, root: str) -> UnsafeInputError:
    return UnsafeInputError(
        f"{name!r} in {root} is a link that leads outside the directory; put the files themselves there."
    )


@contextmanager
def _errors(name: str, root: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # pathlib reports a loop of links as a RuntimeError
        reason = error.strerror if isinstance(error, OSError) else "its links form a loop"
        raise DataError(f"{name!r} in {root} cannot be read: {reason}; check that it is there and readable.") from None
