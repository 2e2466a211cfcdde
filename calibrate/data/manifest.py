"""A CSV manifest: image files, and maybe their classes."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from calibrate.data.class_list import check_classes
from calibrate.data.files.interface import leads_outside
from calibrate.data.files.local_directory import Directory
from calibrate.data.files.remote import RemotePath
from calibrate.data.files.remote_directory import RemoteDirectory
from calibrate.data.image_files import ImageFiles
from calibrate.data.layout import Layout
from calibrate.data.preprocess import require_preprocessing
from calibrate.data.table import CsvRow, CsvTable
from calibrate.errors import DataError, UnsafeInputError
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding

COLUMNS = ("path", "label")


class CsvManifest(ImageFiles):
    """The images that a CSV file lists, with the columns ``path`` and ``label``; other columns are not used.

    A manifest of nothing but the column ``path`` is data without labels.
    Paths are relative to the manifest and stay below its directory. With ``classes``, a label is one of these names.
    Without, labels are class indices where all are whole numbers, and otherwise names, numbered in sorted order.
    """

    def __init__(
        self,
        place: Path | RemotePath,
        *,
        name: str,
        preprocessing: Preprocessing | None,
        classes: Sequence[str] | None = None,
    ) -> None:
        applied = require_preprocessing(preprocessing, name)
        table = CsvTable(place, COLUMNS, name, alone="path")
        rows = _checked(table.rows(), name)
        names = [row.fields[0] for row in rows]
        root = place.parent
        files = Directory(root, names) if isinstance(root, Path) else RemoteDirectory(root, names)
        class_names, labels = (None if classes is None else tuple(classes)), None
        if table.columns == COLUMNS:
            class_names, indices = _labels(rows, classes, name)
            labels = np.array(indices, dtype=np.int64)
        layout = Layout(tuple(names), labels, class_names, "", _unused(table))
        super().__init__(files, layout, name=name, preprocessing=applied, listed=classes is not None)


def _checked(rows: Iterable[CsvRow], name: str) -> list[CsvRow]:
    """The rows with their paths in the shortest form, none outside and none twice."""
    lines: dict[str, int] = {}
    checked = []
    for line, (raw, *label) in rows:
        if leads_outside(raw):
            raise UnsafeInputError(
                f"line {line} of {name} has the path {raw!r}, which could lead outside the manifest's directory; give "
                f"paths relative to the manifest, with forward slashes."
            )
        path = str(PurePosixPath(raw))
        if path in lines:
            raise DataError(f"line {line} of {name} lists {path!r} again, after line {lines[path]}; list it once.")
        lines[path] = line
        checked.append(CsvRow(line, (path, *label)))
    if not checked:
        raise DataError(f"{name} lists no images; give one line for each, such as cat/001.jpg,cat.")
    return checked


def _labels(rows: list[CsvRow], classes: Sequence[str] | None, name: str) -> tuple[tuple[str, ...] | None, list[int]]:
    """The class names, if any, and each row's class index."""
    if classes is None and re.fullmatch("[0-9]+", rows[0].fields[1]):
        return None, [_index(row, name) for row in rows]
    given = {row.fields[1] for row in rows}
    class_names = tuple(sorted(given)) if classes is None else check_classes(classes, "the class list")
    index = {label: number for number, label in enumerate(class_names)}
    for line, (_, label) in rows:
        if label not in index:
            raise DataError(
                f"line {line} of {name} has the label {label!r}, which is not in the class list; give one of its "
                f"names, or pass the list of the model's classes."
            )
        if classes is None and re.fullmatch("[0-9]+", label):
            raise DataError(
                f"line {line} of {name} has the label {label}, a number, while line {rows[0].line} has a name; give "
                f"class indices everywhere or names everywhere, or pass the list of the model's classes."
            )
    return class_names, [index[row.fields[1]] for row in rows]


def _index(row: CsvRow, name: str) -> int:
    label = row.fields[1]
    if not re.fullmatch("[0-9]{1,9}", label):
        raise DataError(
            f"line {row.line} of {name} has the label {label!r}, while the labels before it are class indices; give "
            f"class indices from 0 to 999999999 everywhere or names everywhere."
        )
    return int(label)


def _unused(table: CsvTable) -> tuple[Finding, ...]:
    if not table.unused:
        return ()
    message = f"{len(table.unused)} columns of {table.name} were not used, the first is {table.unused[0]!r}."
    return (Finding(code="columns-unused", severity="info", message=message),)
