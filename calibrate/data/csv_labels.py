"""The labels that the rows of a CSV manifest give: class indices, names, or both in two columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from calibrate.data.class_list import check_classes, indices_by_name
from calibrate.data.folder_order import order_classes
from calibrate.data.table import CsvRow, CsvTable, folded
from calibrate.errors import DataError
from calibrate.result import Finding

#: What the column of labels is called, and what else.
LABEL = "label"
SPELLINGS = ("labels", "class", "class_name", "class_id", "target", "targets", "category", "y")
#: A class index as programs write it: tables with a hole somewhere become floats.
_NUMBER = re.compile(r"([0-9]+)(\.0*)?")


@dataclass(frozen=True, slots=True)
class ManifestLabels:
    """The class index of each row, and the class names, if any; what was made of them, and of which columns."""

    indices: list[int]
    class_names: tuple[str, ...] | None
    findings: tuple[Finding, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of labels, all of its rows."""

    name: str
    labels: tuple[str, ...]

    @property
    def is_numbers(self) -> bool:
        return all(map(_NUMBER.fullmatch, self.labels))


def read_labels(
    rows: Sequence[CsvRow], every: Sequence[CsvRow], table: CsvTable, classes: Sequence[str] | None
) -> ManifestLabels:
    """The labels of ``rows``, those of the wanted part; names are numbered among ``every`` row, of other parts too.

    With ``classes``, a label is one of these names, or an index where all labels are whole numbers that no class is
    called by. Without, labels are class indices where all are whole numbers (``3``, ``3.0``), and otherwise names,
    numbered in the order of :func:`order_classes`.
    Several columns that may be the label must tell the same classes apart: one of names and one of numbers are each
    class's name and index. Where they differ, that called ``label`` counts.
    """
    columns = _agreeing(_columns(every, table), every, table)
    words = [column for column in columns if not column.is_numbers]
    numbers = [column for column in columns if column.is_numbers]
    if classes is not None:
        listed = check_classes(classes, "the class list")
        known = indices_by_name(listed)
        column = next(
            (it for it in columns if all(_as_named(label, known) in known for label in it.labels)), columns[0]
        )
        indices, findings = _in_list(_of(rows, every, column), known, table.name)
        return ManifestLabels(indices, listed, findings, (column.name,))
    if words and numbers:
        return _in_two_columns(rows, every, words[0], numbers[0], table.name)
    labels = _of(rows, every, columns[0])
    if _NUMBER.fullmatch(labels[0][1]):
        return ManifestLabels([_index(*labelled, table.name) for labelled in labels], None, (), (columns[0].name,))
    order = order_classes(set(columns[0].labels), table.name)
    known = indices_by_name(order.names)
    for line, label in labels:
        if _NUMBER.fullmatch(label):
            raise DataError(
                f"line {line} of {table.name} has the label {label}, a number, while line {labels[0][0]} has a name; "
                f"give class indices everywhere or names everywhere, or pass the list of the model's classes."
            )
    return ManifestLabels([known[label] for _, label in labels], order.names, order.findings, (columns[0].name,))


def _columns(rows: Sequence[CsvRow], table: CsvTable) -> list[_Column]:
    """The columns that may be the label, that taken by the table first."""
    place = table.columns.index(LABEL)
    found = [_Column(table.spelled[LABEL], tuple(row.fields[place] for row in rows))]
    return found + [
        _Column(name, tuple(row.others[place] for row in rows))
        for place, name in enumerate(table.unused)
        if folded(name) in SPELLINGS
    ]


def _agreeing(columns: list[_Column], rows: Sequence[CsvRow], table: CsvTable) -> list[_Column]:
    """The columns, where all say the same of each row; else that called label alone, or DataError."""
    for first, second in combinations(columns, 2):
        row = _difference(first, second)
        if row is None:
            continue
        if folded(columns[0].name) == LABEL:
            return columns[:1]
        raise DataError(
            f"the columns {first.name!r} and {second.name!r} of {table.name} may both be the label, and do not tell "
            f"the same classes apart (line {rows[row].line}: {first.labels[row]!r} and {second.labels[row]!r}). Call "
            f"that to read {LABEL}."
        )
    return columns


def _difference(first: _Column, second: _Column) -> int | None:
    """The first row whose labels tell other classes apart; numbers must be equal."""
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    both_numbers = first.is_numbers and second.is_numbers
    for row, (one, other) in enumerate(zip(first.labels, second.labels, strict=True)):
        if there.setdefault(one, other) != other or back.setdefault(other, one) != one:
            return row
        if both_numbers and _number(one) != _number(other):
            return row
    return None


def _of(rows: Sequence[CsvRow], every: Sequence[CsvRow], column: _Column) -> list[tuple[int, str]]:
    """The line of each of the ``rows``, and what ``column`` has there."""
    by_line = {row.line: label for row, label in zip(every, column.labels, strict=True)}
    return [(row.line, by_line[row.line]) for row in rows]


def _in_two_columns(
    rows: Sequence[CsvRow], every: Sequence[CsvRow], words: _Column, numbers: _Column, name: str
) -> ManifestLabels:
    """The indices that one column gives, with the names that the other gives them where it names all."""
    called = {_number(number): word for number, word in zip(numbers.labels, words.labels, strict=True)}
    names = tuple(called.get(str(index), "") for index in range(len(called)))
    message = (
        f"the columns {words.name!r} and {numbers.name!r} of {name} tell the same classes apart: the number was taken "
        f"as the index of the class, {'the word as its name' if all(names) else 'and the word was not used'}."
    )
    return ManifestLabels(
        [_index(*labelled, name) for labelled in _of(rows, every, numbers)],
        names if all(names) else None,
        (Finding(code="labels-in-two-columns", severity="info", message=message),),
        (words.name, numbers.name),
    )


def _in_list(
    labels: list[tuple[int, str]], known: Mapping[str, int], name: str
) -> tuple[list[int], tuple[Finding, ...]]:
    """The indices of labels that are names in the class list, or else places in it."""
    named = [(line, _as_named(label, known)) for line, label in labels]
    if not any(label in known for _, label in named) and all(_NUMBER.fullmatch(label) for _, label in named):
        message = (
            f"the labels of {name} are whole numbers, none of which is the name of a class, and were taken as places "
            "in the class list, counted from 0."
        )
        found = (Finding(code="labels-by-index", severity="info", message=message),)
        return [_index(*labelled, name) for labelled in labels], found
    for line, label in named:
        if label not in known:
            raise DataError(
                f"line {line} of {name} has the label {label!r}, which is not in the class list; give one of its "
                f"names, or pass the list of the model's classes."
            )
    return [known[label] for _, label in named], ()


def _as_named(label: str, known: Mapping[str, int]) -> str:
    """``label``, or the class that is the same whole number: 10 for 10.0 and 010."""
    if label in known or not _NUMBER.fullmatch(label):
        return label
    return number if (number := _number(label)) in known else label


def _number(label: str) -> str:
    """A whole number without zeros before and behind it."""
    return label.partition(".")[0].lstrip("0") or "0"


def _index(line: int, label: str, name: str) -> int:
    if (found := _NUMBER.fullmatch(label)) is None or len(found[1]) > 9:
        raise DataError(
            f"line {line} of {name} has the label {label!r}, while the labels before it are class indices; give "
            f"class indices from 0 to 999999999 everywhere or names everywhere."
        )
    return int(found[1])
