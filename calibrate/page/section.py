"""Sections and tables: plain values that every format of a page shows."""

from dataclasses import dataclass

from calibrate.page.figure import Figure

#: What stands in a table where there is no number.
ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, its interval, and whether it stands out."""

    value: str
    interval: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What a line of a table is about, a note beneath it, and one cell for each column."""

    label: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column headings."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what shows, maybe a figure and a table, and paragraphs on how to read them.

    The first of ``words`` says what shows.
    """

    title: str
    words: tuple[str, ...]
    table: Table | None = None
    figure: Figure | None = None
