"""Opening data by whatever the user calls them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from calibrate.data.archive import ZipArchive
from calibrate.data.class_folders import ClassFolders
from calibrate.data.directory import Directory
from calibrate.data.iterable import Examples
from calibrate.data.npz import Npz
from calibrate.data.source import Source
from calibrate.errors import DataError, UsageError
from calibrate.recipe import Preprocessing

ACCEPTED = "a directory or .zip of class folders, or an .npz file with the arrays x and y"


def open_data(
    data: str | Path | Iterable[Any] | Source,
    *,
    preprocessing: Preprocessing | None,
    classes: Sequence[str] | None = None,
) -> Source:
    """Open a directory, a ``.zip``, an ``.npz`` or any re-iterable of (x, y); an open source is returned as it is.

    ``preprocessing`` is applied to images, which need one. ``classes`` are the names of all the model's classes.
    """
    if isinstance(data, Source):
        if classes is not None:
            raise UsageError(f"{data.name} is open already; give the class list when opening it.")
        return data
    if not isinstance(data, str | Path):
        return Examples(data, name=type(data).__name__, preprocessing=preprocessing, classes=classes)
    path, name = Path(data), str(data)
    if _holds(path.is_dir):
        return ClassFolders(Directory(path), name=name, preprocessing=preprocessing, classes=classes)
    if not _holds(path.is_file):
        raise DataError(f"{name!r} does not exist, or is neither a file nor a directory; give {ACCEPTED}.")
    if path.suffix.lower() == ".zip":
        return ClassFolders(ZipArchive(path), name=name, preprocessing=preprocessing, classes=classes)
    if path.suffix.lower() == ".npz":
        return Npz(path, name=name, preprocessing=preprocessing, classes=classes)
    raise DataError(f"{name!r} is not data that can be read; give {ACCEPTED}.")


def _holds(test: Callable[[], bool]) -> bool:
    """Whether a test of a path holds; a path that the system cannot even look up fails it."""
    try:
        return test()
    except (OSError, ValueError):
        return False
