"""Opening data by whatever the user calls them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from calibrate.data.class_map import ClassMap
from calibrate.data.derived.mapped import Mapped
from calibrate.data.files.local_directory import Directory
from calibrate.data.files.remote import URL, RemotePath, locate, without_credentials
from calibrate.data.files.remote_directory import RemoteDirectory
from calibrate.data.files.tar_archive import TarArchive
from calibrate.data.files.zip_archive import ZipArchive
from calibrate.data.image_files import ClassFolders
from calibrate.data.iterable import Examples
from calibrate.data.manifest import CsvManifest
from calibrate.data.npz import Npz
from calibrate.data.source import Source
from calibrate.data.torchvision_set import EXAMPLE, SCHEME, TorchvisionSet
from calibrate.errors import DataError, UsageError
from calibrate.preprocessing import Preprocessing

ACCEPTED = (
    "a directory, .zip, .tar, .tar.gz or .tgz of class folders, a .csv with the columns path and label, an .npz file "
    f"with the arrays x and y, the URL of one of these, or a set of torchvision's such as {EXAMPLE}; "
    "without labels, images in no folder, a .csv with the column path alone, or an .npz file with x alone"
)


#: What data are given as: a path or URL, any re-iterable of (x, y), or an open source.
DataLike = str | Path | Iterable[Any] | Source


def open_data(
    data: DataLike,
    *,
    preprocessing: Preprocessing | None,
    classes: Sequence[str] | None = None,
    class_map: ClassMap | None = None,
) -> Source:
    """Open a path, a URL, a torchvision set or any re-iterable of (x, y); an open source is returned as it is.

    A path is a directory or archive (``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``) of class folders, a ``.csv`` manifest
    or an ``.npz``. Without labels it is one of images in no folder, a manifest with the column ``path`` alone, or an
    ``.npz`` of inputs alone. ``preprocessing`` is applied to images, which need one. ``classes`` are the names of all
    the model's classes. ``class_map`` says which of them, by name or index, each class of the data is; it must hold
    every class that has examples, and several may be one.
    """
    if isinstance(data, Source):
        if classes is not None or class_map is not None:
            raise UsageError(f"{data.name} is open already; give the class list and the class map when opening it.")
        return data
    if class_map is not None:
        return Mapped(open_data(data, preprocessing=preprocessing), class_map, classes)
    if not isinstance(data, str | Path):
        return Examples(data, name=type(data).__name__, preprocessing=preprocessing, classes=classes)
    if isinstance(data, str) and data.startswith(SCHEME):
        local = TorchvisionSet(data)
        names = local.classes if classes is None else classes
        return Examples(local, name=data, preprocessing=preprocessing, classes=names)
    if isinstance(data, str) and URL.match(data):
        return _open(locate(data), without_credentials(data), preprocessing, classes)
    return _open(Path(data), str(data), preprocessing, classes)


def _open(
    place: Path | RemotePath, name: str, preprocessing: Preprocessing | None, classes: Sequence[str] | None
) -> Source:
    if _holds(place.is_dir, place):
        files = Directory(place) if isinstance(place, Path) else RemoteDirectory(place)
        return ClassFolders(files, name=name, preprocessing=preprocessing, classes=classes)
    if not _holds(place.is_file, place):
        raise DataError(f"{name!r} does not exist, or is neither a file nor a directory; give {ACCEPTED}.")
    ending = place.name.lower()
    if ending.endswith(".npz"):
        return Npz(place, name=name, preprocessing=preprocessing, classes=classes)
    if ending.endswith(".csv"):
        return CsvManifest(place, name=name, preprocessing=preprocessing, classes=classes)
    if ending.endswith(".zip"):
        return ClassFolders(ZipArchive(place), name=name, preprocessing=preprocessing, classes=classes)
    if ending.endswith((".tar", ".tar.gz", ".tgz")):
        archive = TarArchive(place, compressed=not ending.endswith(".tar"))
        return ClassFolders(archive, name=name, preprocessing=preprocessing, classes=classes)
    raise DataError(f"{name!r} is not data that can be read; give {ACCEPTED}.")


def _holds(test: Callable[[], bool], place: Path | RemotePath) -> bool:
    """Whether a test of a path holds; a local path that the system cannot even look up fails it."""
    try:
        return test()
    except (OSError, ValueError) as error:
        if isinstance(place, RemotePath):
            raise DataError(f"{place} cannot be looked up ({error}); check the URL and its credentials.") from None
        return False
