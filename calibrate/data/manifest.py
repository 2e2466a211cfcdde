"""A CSV manifest: image files, and maybe their classes."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from calibrate.data.class_list import check_classes
from calibrate.data.csv_labels import LABEL, read_labels
from calibrate.data.csv_labels import SPELLINGS as LABELS
from calibrate.data.files.interface import Listed, leads_outside
from calibrate.data.files.local_directory import Directory
from calibrate.data.files.remote import RemotePath
from calibrate.data.files.remote_directory import RemoteDirectory
from calibrate.data.image_files import ImageFiles
from calibrate.data.layout import Layout
from calibrate.data.parts import ANY_PART, Part, part_of, parts_among
from calibrate.data.preprocess import require_preprocessing
from calibrate.data.table import CsvRow, CsvTable, folded
from calibrate.errors import DataError, UnsafeInputError
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding

COLUMNS = ("path", LABEL)
#: What the columns are also called.
SPELLINGS = {
    "path": (
        "paths",
        "filepath",
        "filepaths",
        "file_path",
        "filename",
        "file_name",
        "file",
        "image",
        "image_path",
        "img",
        "img_path",
    ),
    LABEL: LABELS,
}
#: The columns that may say which part each image belongs to, also where only one part is there.
PART_COLUMNS = ("split", "set", "subset", "part", "fold", "usage", "partition", "phase", "data_set", "data_split")
#: A column that holds more values is none of parts, if its name does not say so.
MOST_PARTS = 20
#: What a column such as ``is_train`` holds, where it says of each image whether it belongs to that part.
_FLAG = re.compile("is_?(.+)")
_FLAGS = {"1": True, "1.0": True, "true": True, "yes": True, "0": False, "0.0": False, "false": False, "no": False}


class CsvManifest(ImageFiles):
    """The images that a CSV file lists, with the columns ``path`` and ``label``; other columns are not used.

    A manifest of nothing but the column ``path`` is data without labels. Of one with a column (``split``, ``Usage``,
    ``is_train``, or any other) that says train, val or test of each row, the rows of the wanted ``part`` are read.
    Paths are relative to the manifest and stay below its directory. What labels are says :func:`read_labels`.
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
        table = CsvTable(place, COLUMNS, name, may_lack=True, spellings=SPELLINGS)
        every = list(table.rows())
        of_part = _of_part(every, table, part)
        if LABEL not in table.columns and set(table.unused) - {of_part.column}:
            raise table.misfit()
        rows, findings = _checked(of_part.rows, name), of_part.findings
        names = [row.fields[0] for row in rows]
        root = place.parent
        listed = Listed(names, may_lack=skip_broken > 0)
        files = Directory(root, listed) if isinstance(root, Path) else RemoteDirectory(root, listed)
        class_names, labels = None if classes is None else check_classes(classes, "the class list"), None
        taken, used = {"path": table.spelled["path"]}, {of_part.column, table.spelled["path"]}
        if LABEL in table.columns:
            labelled = read_labels(rows, every, table, classes)
            class_names, findings = labelled.class_names, findings + labelled.findings
            labels = np.array(labelled.indices, dtype=np.int64)
            used |= {*labelled.columns}
            if len(labelled.columns) == 1:
                (taken[LABEL],) = labelled.columns
        layout = Layout(tuple(names), labels, class_names, "", findings + _columns(table, taken, used), of_part.part)
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


def _of_part(rows: list[CsvRow], table: CsvTable, part: Part) -> _PartRows:
    """The rows of the wanted part, where a column says which part each is of; else all rows."""
    for place, column in enumerate(table.unused):
        values = [row.others[place] for row in rows]
        said = _parts_said(column, values)
        held, where = set(said), f"the column {column!r} of {table.name}"
        by_name = folded(column) in PART_COLUMNS or said is not values
        if _are_parts(held) or (by_name and held and part.among(held)):
            chosen, findings = part.choose(held, where)
            own = [row for row, of in zip(rows, said, strict=True) if of == chosen]
            return _PartRows(own, column, chosen, findings)
        if by_name:
            part.refuse_unnamed(held, where)
    part.refuse(table.name, f"none of its columns {', '.join(table.columns + table.unused)} says which rows are of it")
    return _PartRows(rows)


def _are_parts(held: Collection[str]) -> bool:
    """Whether a column holds parts, whatever it is called: two different ones, and few other values."""
    if len(held) > MOST_PARTS:
        return False
    known = parts_among(held)
    return len(set(known.values())) > 1 and 2 * len(known) >= len(held)


def _parts_said(column: str, values: list[str]) -> list[str]:
    """What the values of a column say of the parts: of ``is_train`` with 1 and 0, train and test; else themselves."""
    flag = _FLAG.fullmatch(folded(column))
    named = None if flag is None else part_of(flag[1])
    if named is None or not all(value.lower() in _FLAGS for value in values):
        return values
    rest = "test" if named == "train" else "train"
    return [named if _FLAGS[value.lower()] else rest for value in values]


def _checked(rows: Iterable[CsvRow], name: str) -> list[CsvRow]:
    """The rows with their paths in the shortest form, none outside and none twice."""
    lines: dict[str, int] = {}
    checked = []
    for line, (raw, *rest), others in rows:
        if leads_outside(raw):
            raise UnsafeInputError(
                f"line {line} of {name} has the path {raw!r}, which could lead outside the manifest's directory; give "
                f"paths relative to the manifest, with forward slashes."
            )
        path = str(PurePosixPath(raw))
        if path in lines:
            raise DataError(f"line {line} of {name} lists {path!r} again, after line {lines[path]}; list it once.")
        lines[path] = line
        checked.append(CsvRow(line, (path, *rest), others))
    if not checked:
        raise DataError(f"{name} lists no images; give one line for each, such as cat/001.jpg,cat.")
    return checked


def _columns(table: CsvTable, taken: Mapping[str, str], used: Collection[str | None]) -> tuple[Finding, ...]:
    """Which columns were taken by another name, and which were not used."""
    findings = []
    if other := [f"{its!r} as {name}" for name, its in taken.items() if its != name]:
        message = f"of the columns of {table.name}, {' and '.join(other)} {'were' if other[1:] else 'was'} taken."
        findings.append(Finding(code="columns-taken", severity="info", message=message))
    unused = [column for column in (*table.spelled.values(), *table.unused) if column not in used]
    if unused:
        message = f"{len(unused)} columns of {table.name} were not used, the first is {unused[0]!r}."
        findings.append(Finding(code="columns-unused", severity="info", message=message))
    return tuple(findings)
