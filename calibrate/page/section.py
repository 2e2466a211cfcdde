"""Sections and tables: plain values that every format of a page shows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from calibrate.page.figure import Figure

#: What stands in a table where there is no number.
ABSENT = "absent"

#: A label and what there is to say.
Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, its interval, and whether it stands out."""

    value: str
    interval: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What a line of a table is about, a note beneath it, and one cell for each column.

    ``example`` is the place in the data of an example whose picture stands beside it, where there is one.
    """

    label: str
    note: str
    cells: tuple[Cell, ...]
    example: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column headings; their cells are numbers, or ``prose``."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    prose: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what shows, and paragraphs on how to read it.

    The first of ``words`` says what shows; then come ``facts``, ``points`` (a list), the figure and the table, and the
    other words. ``tone`` sets a section apart as good news, bad, or neither. ``detail`` is for who reads it all.
    ``caption`` says how to read the figure, and stands with it alone.
    """

    title: str
    words: tuple[str, ...] = ()
    table: Table | None = None
    figure: Figure | None = None
    facts: tuple[Fact, ...] = ()
    points: tuple[str, ...] = ()
    tone: Literal["", "good", "bad", "even"] = ""
    detail: bool = False
    caption: str = ""

    def reworded(self, change: Callable[[str], str]) -> "Section":
        """The section with each sentence changed; figures and tables stay."""
        return replace(
            self,
            words=tuple(map(change, self.words)),
            facts=tuple((label, change(value)) for label, value in self.facts),
            points=tuple(map(change, self.points)),
        )
