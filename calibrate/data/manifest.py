"""A CSV manifest: image files, and maybe their classes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from calibrate.data.class_list import check_classes, indices_by_name
from calibrate.data.files.interface import leads_outside
from calibrate.data.files.local_directory import Directory
from calibrate.data.files.remote import RemotePath
from calibrate.data.files.remote_directory import RemoteDirectory
from calibrate.data.folder_order import order_classes
from calibrate.data.image_files import ImageFiles
from calibrate.data.layout import Layout
from calibrate.data.parts import ANY_PART, Part
from calibrate.data.preprocess import require_preprocessing
from calibrate.data.table import CsvRow, CsvTable
from calibrate.errors import DataError, UnsafeInputError
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding

COLUMNS = ("path", "label")
#: What the columns are also called.
SPELLINGS = {
    "path": (
        "paths",
        "filepath",
        "file_path",
        "filename",
        "file_name",
        "file",
        "image",
        "image_path",
        "img",
        "img_path",
    ),
    "label": ("labels", "class", "class_name", "class_id", "target", "targets", "category", "y"),
}
#: The columns that may say which part each image belongs to.
PART_COLUMNS = ("split", "set", "subset", "part", "fold")


class CsvManifest(ImageFiles):
    """The images that a CSV file lists, with the columns ``path`` and ``label``; other columns are not used.

    A manifest of nothing but the column ``path`` is data without labels. Of one with a column ``split`` (``set``,
    ``subset``) that says train, val or test, the rows of the wanted ``part`` are read.
    Paths are relative to the manifest and stay below its directory. With ``classes``, a label is one of these names, or
    an index where all labels are whole numbers that no class is called by.
    Without, labels are class indices where all are whole numbers (``3``, ``3.0``), and otherwise names, numbered in
    the order of :func:`order_classes`.
    """

    def __init__(
        self,
        place: Path | RemotePath,
        *,
        name: str,
        preprocessing: Preprocessing | None,
        classes: Sequence[str] | None = None,
        part: Part = ANY_PART,
        skip_broken: int = 0,
    ) -> None:
        applied = require_preprocessing(preprocessing, name)
        table = CsvTable(place, COLUMNS, name, may_lack=True, spellings=SPELLINGS, besides=PART_COLUMNS)
        taken = _of_part(table, part)
        rows, findings = _checked(taken.rows, name), taken.findings
        names = [row.fields[0] for row in rows]
        root = place.parent
        files = Directory(root, names) if isinstance(root, Path) else RemoteDirectory(root, names)
        class_names, labels = (None if classes is None else tuple(classes)), None
        if "label" in table.columns:
            labelled = _labels(rows, classes, name)
            class_names, findings = labelled.class_names, findings + labelled.findings
            labels = np.array(labelled.indices, dtype=np.int64)
        layout = Layout(tuple(names), labels, class_names, "", findings + _columns(table, taken.column), taken.part)
        super().__init__(
            files, layout, name=name, preprocessing=applied, listed=classes is not None, skip_broken=skip_broken
        )


@dataclass(frozen=True, slots=True)
class _PartRows:
    """The rows of one part, the ``column`` that says which part each row is of, and what to say; else all rows."""

    rows: list[CsvRow]
    column: str | None = None
    part: str | None = None
    findings: tuple[Finding, ...] = ()


def _of_part(table: CsvTable, part: Part) -> _PartRows:
    """The rows of the wanted part, where a column says which part each is of; else all rows."""
    rows = list(table.rows())
    for place, column in enumerate(table.columns):
        held = {row.fields[place] for row in rows} if column in PART_COLUMNS else set()
        if held and part.among(held):
            chosen, findings = part.choose(held, table.name)
            return _PartRows([row for row in rows if row.fields[place] == chosen], column, chosen, findings)
        part.refuse_unnamed(held, f"the column {column!r} of {table.name}")
    part.refuse(table.name, f"none of its columns {', '.join(table.columns + table.unused)} says which rows are of it")
    return _PartRows(rows)


def _checked(rows: Iterable[CsvRow], name: str) -> list[CsvRow]:
    """The rows with their paths in the shortest form, none outside and none twice."""
    lines: dict[str, int] = {}
    checked = []
    for line, (raw, *rest) in rows:
        if leads_outside(raw):
            raise UnsafeInputError(
                f"line {line} of {name} has the path {raw!r}, which could lead outside the manifest's directory; give "
                f"paths relative to the manifest, with forward slashes."
            )
        path = str(PurePosixPath(raw))
        if path in lines:
            raise DataError(f"line {line} of {name} lists {path!r} again, after line {lines[path]}; list it once.")
        lines[path] = line
        checked.append(CsvRow(line, (path, *rest)))
    if not checked:
        raise DataError(f"{name} lists no images; give one line for each, such as cat/001.jpg,cat.")
    return checked


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The class index of each row, and the class names, if any; and what was made of them."""

    indices: list[int]
    class_names: tuple[str, ...] | None
    findings: tuple[Finding, ...] = ()


def _labels(rows: list[CsvRow], classes: Sequence[str] | None, name: str) -> _Labelled:
    """What the labels of the rows are."""
    given = {row.fields[1] for row in rows}
    if classes is None:
        if _NUMBER.fullmatch(rows[0].fields[1]):
            return _Labelled([_index(row, name) for row in rows], None)
        order = order_classes(given, name)
        class_names, findings = order.names, order.findings
    else:
        class_names, findings = check_classes(classes, "the class list"), ()
    index = indices_by_name(class_names)
    if classes is not None:
        rows = [CsvRow(row.line, (row.fields[0], _as_named(row.fields[1], index))) for row in rows]
        given = {row.fields[1] for row in rows}
    if classes is not None and not given & index.keys() and all(map(_NUMBER.fullmatch, given)):
        message = (
            f"the labels of {name} are whole numbers, none of which is the name of a class, and were taken as places "
            "in the class list, counted from 0."
        )
        found = (Finding(code="labels-by-index", severity="info", message=message),)
        return _Labelled([_index(row, name) for row in rows], class_names, found)
    for row in rows:
        label = row.fields[1]
        if label not in index:
            raise DataError(
                f"line {row.line} of {name} has the label {label!r}, which is not in the class list; give one of its "
                f"names, or pass the list of the model's classes."
            )
        if classes is None and _NUMBER.fullmatch(label):
            raise DataError(
                f"line {row.line} of {name} has the label {label}, a number, while line {rows[0].line} has a name; "
                f"give class indices everywhere or names everywhere, or pass the list of the model's classes."
            )
    return _Labelled([index[row.fields[1]] for row in rows], class_names, findings)


def _as_named(label: str, index: Mapping[str, int]) -> str:
    """``label``, or the class that is the same whole number: 10 for 10.0 and 010."""
    if label in index or not _NUMBER.fullmatch(label):
        return label
    number = label.partition(".")[0].lstrip("0") or "0"
    return number if number in index else label


#: A class index as programs write it: tables with a hole somewhere become floats.
_NUMBER = re.compile(r"([0-9]+)(\.0*)?")


def _index(row: CsvRow, name: str) -> int:
    label = row.fields[1]
    if (found := _NUMBER.fullmatch(label)) is None or len(found[1]) > 9:
        raise DataError(
            f"line {row.line} of {name} has the label {label!r}, while the labels before it are class indices; give "
            f"class indices from 0 to 999999999 everywhere or names everywhere."
        )
    return int(found[1])


def _columns(table: CsvTable, parting: str | None) -> tuple[Finding, ...]:
    """Which columns were taken by another name, and which were not used."""
    findings = []
    if other := [f"{its!r} as {name}" for name, its in table.spelled.items() if name in COLUMNS and its != name]:
        message = (
            f"of the columns of {table.name}, {' and '.join(other)} was taken."
            if len(other) == 1
            else (f"of the columns of {table.name}, {' and '.join(other)} were taken.")
        )
        findings.append(Finding(code="columns-taken", severity="info", message=message))
    unused = [*table.unused, *(its for name, its in table.spelled.items() if name not in (*COLUMNS, parting))]
    if unused:
        message = f"{len(unused)} columns of {table.name} were not used, the first is {unused[0]!r}."
        findings.append(Finding(code="columns-unused", severity="info", message=message))
    return tuple(findings)
