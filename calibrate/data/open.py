"""Opening data by whatever the user calls them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from calibrate.data.broken import check_skip_broken
from calibrate.data.class_files import classes_of
from calibrate.data.class_map import ClassMap
from calibrate.data.derived.mapped import Mapped
from calibrate.data.element import check_keys
from calibrate.data.files.local_directory import Directory
from calibrate.data.files.remote import URL, RemotePath, locate, without_credentials
from calibrate.data.files.remote_directory import RemoteDirectory
from calibrate.data.files.tar_archive import TarArchive
from calibrate.data.files.zip_archive import ZipArchive
from calibrate.data.image_files import ClassFolders
from calibrate.data.iterable import Examples
from calibrate.data.manifest import CsvManifest
from calibrate.data.npz import Npz
from calibrate.data.parts import EVALUATION, Part, part_of, with_part
from calibrate.data.source import Source
from calibrate.data.torchvision_set import EXAMPLE, SCHEME, TorchvisionSet
from calibrate.errors import DataError, UsageError
from calibrate.preprocessing import Preprocessing
from calibrate.recipe import as_preprocessing
from calibrate.result import Finding

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
    preprocessing: Preprocessing | Mapping[str, Any] | str | None,
    classes: Sequence[str] | Mapping[str, int] | None = None,
    class_map: ClassMap | None = None,
    split: str | None = None,
    skip_broken: int = 0,
    keys: tuple[str, str] | None = None,
    usual: tuple[str, ...] = EVALUATION,
) -> Source:
    """Open a path, a URL, a torchvision set or any re-iterable of (x, y); an open source is returned as it is.

    A path is a directory or archive (``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``) of class folders, a ``.csv`` manifest
    or an ``.npz``. Without labels it is one of images in no folder, a manifest with the column ``path`` alone, or an
    ``.npz`` of inputs alone. ``preprocessing`` is applied to images, which need one, also as a mapping as in a file.
    ``classes`` are the names of all the model's classes, or the index of each by its name. ``class_map`` says which of
    them, by name or index, each class of the data is; it must hold every class that has examples, and several may be
    one.

    ``split`` names the part to read of data that hold several: folders train, val and test around the class folders or
    in them, arrays such as ``val_images``, a column such as ``split`` or ``is_train``, or a mapping of such names to
    iterables. Without it the first of the ``usual`` parts is read, and a finding says so.

    Up to ``skip_broken`` images that cannot be read are left out and named in a finding. Of examples that are mappings,
    ``keys`` names the input and the label, where they have other than the usual names.
    """
    check_skip_broken(skip_broken)
    preprocessing = as_preprocessing(preprocessing)
    if isinstance(classes, Mapping):
        classes = classes_of(classes)
    if isinstance(data, Source):
        if (classes, class_map, split, keys) != (None, None, None, None) or skip_broken:
            raise UsageError(
                f"{data.name} is open already; give the class list, the class map, `split`, `skip_broken` and `keys` "
                "when opening it."
            )
        return data
    check_keys(keys)
    if class_map is not None:
        inner = open_data(
            data, preprocessing=preprocessing, split=split, skip_broken=skip_broken, keys=keys, usual=usual
        )
        return Mapped(inner, class_map, classes)
    part = Part(split, usual)
    given: _Given = {"preprocessing": preprocessing, "classes": classes, "part": part, "skip_broken": skip_broken}
    if not isinstance(data, str | Path):
        return _of_objects(data, given, keys)
    if keys is not None:
        raise UsageError(
            f"keys name the input and the label of examples that are mappings, and {str(data)!r} has none."
        )
    if isinstance(data, str) and data.startswith(SCHEME):
        part.refuse(
            repr(data), "a set of torchvision's says it by an option of its own, as in &split=val or &train=true"
        )
        local = TorchvisionSet(data)
        names = local.classes if classes is None else classes
        return Examples(local, name=data, preprocessing=preprocessing, classes=names, skip_broken=skip_broken)
    if isinstance(data, str) and URL.match(data):
        return _open(locate(data), without_credentials(data), given)
    return _open(Path(data), str(data), given)


class _Given(TypedDict):
    """How data are read, whatever they are."""

    preprocessing: Preprocessing | None
    classes: Sequence[str] | None
    part: Part
    skip_broken: int


def _of_objects(data: Iterable[Any], given: _Given, keys: tuple[str, str] | None) -> Source:
    """The examples of an iterable; of a mapping of parts, such as a DatasetDict, those of one part."""
    name: str = type(data).__name__
    part = given["part"]
    findings: tuple[Finding, ...] = ()
    if isinstance(data, Mapping):
        keys_of_parts = [key for key in data if isinstance(key, str) and (part_of(key) or key == part.named)]
        if not keys_of_parts or not all(isinstance(key, str) for key in data):
            raise DataError(
                f"the data are a {name} with the keys {', '.join(map(repr, data))[:200] or 'none'}, which are no parts "
                "such as train, val and test; pass an iterable of (x, y), or of mappings of one example or batch each."
            )
        chosen, findings = part.choose(data.keys(), f"the data ({name})")
        data, name = data[chosen], with_part(name, chosen)
    else:
        part.refuse(f"the data ({name})", "they are one iterable; pass a mapping of parts, or the part itself")
    return Examples(
        data,
        name=name,
        preprocessing=given["preprocessing"],
        classes=given["classes"],
        skip_broken=given["skip_broken"],
        keys=keys,
        findings=findings,
    )


def _open(place: Path | RemotePath, name: str, given: _Given) -> Source:
    if _holds(place.is_dir, place):
        files = Directory(place) if isinstance(place, Path) else RemoteDirectory(place)
        return ClassFolders(files, name=name, **given)
    if not _holds(place.is_file, place):
        raise DataError(f"{name!r} does not exist, or is neither a file nor a directory; give {ACCEPTED}.")
    ending = place.name.lower()
    if ending.endswith(".npz"):
        return Npz(place, name=name, **given)
    if ending.endswith((".csv", ".tsv")):
        return CsvManifest(place, name=name, **given)
    if ending.endswith(".zip"):
        return ClassFolders(ZipArchive(place), name=name, **given)
    if ending.endswith((".tar", ".tar.gz", ".tgz")):
        archive = TarArchive(place, compressed=not ending.endswith(".tar"))
        return ClassFolders(archive, name=name, **given)
    raise DataError(f"{name!r} is not data that can be read; give {ACCEPTED}.")


def _holds(test: Callable[[], bool], place: Path | RemotePath) -> bool:
    """Whether a test of a path holds; a local path that the system cannot even look up fails it."""
    try:
        return test()
    except (OSError, ValueError) as error:
        if isinstance(place, RemotePath):
            raise DataError(f"{place} cannot be looked up ({error}); check the URL and its credentials.") from None
        return False
