"""Image folders: which files are examples, and of which class."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from calibrate.data.class_list import check_classes, indices_by_name
from calibrate.data.folder_order import order_classes
from calibrate.data.images import EXTENSIONS
from calibrate.data.part_folders import PartFolders, Place, find_part_folders
from calibrate.data.parts import ANY_PART, Part, part_of, parts_among
from calibrate.errors import DataError
from calibrate.result import Finding


@dataclass(frozen=True, slots=True)
class Layout:
    """The image files in reading order, their labels (n,), if any, the class names, if any, and what was skipped.

    ``top`` is the folder around all class folders, ending in ``/``, or nothing; ``part`` is the part that was read of
    data that hold several.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...] | None
    top: str
    findings: tuple[Finding, ...]
    part: str | None = None

    def without(self, rows: Collection[int], findings: tuple[Finding, ...]) -> "Layout":
        """All but the files at ``rows``, and what is said of these."""
        kept = [row for row in range(len(self.names)) if row not in rows]
        labels = None if self.labels is None else self.labels[kept]
        return replace(
            self,
            names=tuple(self.names[row] for row in kept),
            labels=labels,
            findings=self.findings + findings,
        )


def arrange(
    names: Collection[str],
    folders: Collection[str],
    classes: Sequence[str] | None,
    source: str,
    part: Part = ANY_PART,
    elsewhere: Collection[Place] = (),
) -> Layout:
    """Read class folders off relative file names; without ``classes``, folders are numbered in their own order.

    Images that all lie at the top, in no folder, have no labels. Of folders that are parts (``train``, ``val``,
    ``test``), around the class folders or in them, the ``part`` that is wanted is read, and its classes are numbered
    among those of all parts: the class folders ``elsewhere`` lie in others.

    >>> arrange(["val/dog/1.png", "val/cat/2.png"], [], None, "pets.zip").labels
    array([0, 1])
    """
    images = sorted((parts for parts in _split(names) if _is_image(parts)), key=lambda parts: parts[-2:])
    if (found := find_part_folders(images, elsewhere, classes, part)) is not None:
        return _of_part(found, images, names, folders, classes, source, part, elsewhere)
    part.refuse(source, f"its folders are {_folders(images)}")
    folders = {*folders, *("/".join(place) for place in elsewhere)}
    skipped = sorted(name for name in names if not _is_image(tuple(name.split("/"))))
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    skipped += sorted(folder for folder in set(folders) - parents if folder.split("/")[-1].startswith("."))
    if not images:
        also = f" ({len(skipped)} other files were skipped)" if skipped else ""
        raise DataError(f"{source} holds no images{also}. {_expected(source)}")
    depth = _depth(images, source)
    if depth == 1:
        class_names = None if classes is None else check_classes(classes, "the class list")
        return Layout(tuple(name for (name,) in images), None, class_names, "", _findings(skipped, [], source))
    top = images[0][: depth - 2]
    with_images = {parts[-2] for parts in images}
    empty = {
        parts[-1]
        for parts in _split(parents.union(folders))
        if len(parts) == depth - 1 and parts[:-1] == top and _is_visible(parts) and parts[-1] not in with_images
    }
    findings = _findings(skipped, sorted(empty), source)
    if classes is None:
        order = order_classes(with_images | empty, source)
        class_names, findings = order.names, findings + order.findings + _like_parts(order.names, source)
    else:
        class_names = check_classes(classes, "the class list")
        _check_known(sorted(with_images), class_names, source)
    index = indices_by_name(class_names)
    labels = np.array([index[parts[-2]] for parts in images], dtype=np.int64)
    prefix = "".join(f"{part}/" for part in top)
    paths = tuple("/".join(parts) for parts in images)
    return Layout(paths, labels, class_names, prefix, findings)


def _of_part(
    parts: PartFolders,
    images: list[Place],
    names: Collection[str],
    folders: Collection[str],
    classes: Sequence[str] | None,
    source: str,
    part: Part,
    elsewhere: Collection[Place],
) -> Layout:
    """The layout of one part, its files named from the root; the class folders of other parts are classes too."""
    chosen, findings = part.choose(parts.held, source)
    inside = {"/".join(parts.inside(place)): "/".join(place) for place in _split(names) if parts.holds(place, chosen)}
    below = {"/".join(parts.inside(place)) for place in _split(folders) if parts.holds(place, chosen)}
    others = parts.class_folders([*images, *((*place, "") for place in elsewhere)], chosen)
    kind = parts_among(parts.held).get(chosen)
    within = part.usual if kind is None else (kind,)
    where = f"{source}/{parts.top_of(chosen, '').rstrip('/')}".rstrip("/")
    found = arrange(inside, below, classes, where, Part(usual=within), others)
    further = tuple(item for item in found.findings if item.code != "part-taken")  # of a folder of the part's own name
    return replace(
        found,
        names=tuple(inside[name] for name in found.names),
        top=parts.top_of(chosen, found.top),
        findings=findings + parts.findings(source) + _unlabelled(found, others, parts, source) + further,
        part=chosen,
    )


def _unlabelled(found: Layout, others: Collection[Place], parts: PartFolders, source: str) -> tuple[Finding, ...]:
    """That the images of the parts have no labels, where they could be if the parts were the classes."""
    if found.labels is not None or others:
        return ()
    message = (
        f"the images of {source} lie directly in {', '.join(sorted(parts.held))}, which are called as parts of data "
        "are, so they have no labels. If these folders are the classes, pass a class list that names them with "
        "--classes."
    )
    return (Finding(code="parts-unlabelled", severity="info", message=message),)


def _folders(images: list[tuple[str, ...]]) -> str:
    """The outermost folders of the images, the first few."""
    found = sorted({parts[0] for parts in images if len(parts) > 1})
    return ", ".join(found[:8]) + (", …" if found[8:] else "") if found else "none"


def _split(names: Collection[str]) -> list[tuple[str, ...]]:
    return [tuple(name.split("/")) for name in names]


def _is_visible(parts: tuple[str, ...]) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _is_image(parts: tuple[str, ...]) -> bool:
    return _is_visible(parts) and parts[-1].lower().endswith(EXTENSIONS)


def _depth(images: list[tuple[str, ...]], source: str) -> int:
    """How deep the images lie: 2 in class folders, 3 where one folder stands around them, 1 without labels."""
    depths = {len(parts): parts for parts in images}
    if set(depths) in ({1}, {2}) or (set(depths) == {3} and len({parts[0] for parts in images}) == 1):
        return next(iter(depths))
    if 1 in depths:
        raise DataError(f"{'/'.join(depths[1])!r} in {source} lies in no class folder. {_expected(source)}")
    deep = "/".join(depths[max(depths)])
    raise DataError(
        f"{deep!r} in {source} does not lie directly in a class folder. {_expected(source)} If the folders "
        f"{_folders(images)} are parts of the data, name one of them with --split."
    )


def _expected(source: str) -> str:
    return (
        f"Wanted: one folder for each class with the images directly in it, such as {source}/cat/001.jpg and "
        f"{source}/dog/001.jpg, or all of them in no folder, without labels; the image files end in "
        f"{', '.join(EXTENSIONS)}."
    )


def _check_known(folders: list[str], class_names: tuple[str, ...], source: str) -> None:
    known = indices_by_name(class_names)
    for folder in folders:
        if folder not in known:
            near = difflib.get_close_matches(folder, known, n=1, cutoff=0)[0]
            raise DataError(
                f"the class folder {folder!r} in {source} is not in the class list; the nearest of its "
                f"{len(class_names)} names is {near!r}. Rename the folder, or pass the list of the model's classes."
            )


def _like_parts(classes: tuple[str, ...], source: str) -> tuple[Finding, ...]:
    """That folders called as parts were taken for classes, since others lie beside them."""
    called = [repr(name) for name in classes if part_of(name) is not None]
    if not called:
        return ()
    message = (
        f"the folders {', '.join(called)} of {source} are called as parts of data are, and were taken for classes, "
        f"since other folders of images lie beside them. If they are parts, name the one to read with --split."
    )
    return (Finding(code="part-taken-as-class", severity="warning", message=message),)


def _findings(skipped: list[str], empty: list[str], source: str) -> tuple[Finding, ...]:
    findings = []
    if skipped:
        message = (
            f"{len(skipped)} entries of {source} were skipped, the first is {skipped[0]!r}: they are hidden or have "
            f"no image extension."
        )
        findings.append(Finding(code="files-skipped", severity="info", message=message))
    if empty:
        message = f"{len(empty)} class folders of {source} hold no images, the first is {empty[0]!r}."
        findings.append(Finding(code="folders-empty", severity="warning", message=message))
    return tuple(findings)
