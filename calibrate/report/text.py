"""Pages as plain text, for a terminal of 100 columns or a log file."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from calibrate.page.section import Cell, Fact, Section, Table

WIDTH = 100
#: How plain text marks what HTML and markdown show in bold.
MARK = " *"


def text_page(title: str, heading: Sequence[Fact], sections: Iterable[Section]) -> str:
    """The page as lines of at most 100 columns (a table of unusually large numbers may pass them), without colour."""
    blocks = [_titled(f"Afternorm: {title}", _facts(heading), "=")]
    blocks += [_titled(section.title, _lines(section)) for section in sections]
    return "\n\n".join(blocks) + "\n"


def _titled(heading: str, lines: Iterable[str], underline: str = "-") -> str:
    """A heading, underlined, over ``lines``."""
    above = _wrap(heading)
    return "\n".join((*above, underline * max(map(len, above)), *lines))


def _lines(section: Section) -> list[str]:
    """What shows, the facts and numbers, and how to read them."""
    parts = [
        _wrap(" ".join(section.words[:1])),
        _facts(section.facts),
        [line for point in section.points for line in _item(point)],
    ]
    table = [] if section.table is None else _words(section.table) if section.table.words else _numbers(section.table)
    rest = [line for paragraph in section.words[1:] for line in _wrap(paragraph)]
    lines = list(chain.from_iterable(parts))
    return [*lines, *([""] if table and lines else []), *table, *([""] if table and rest else []), *rest]


def _numbers(table: Table) -> list[str]:
    """Values over their intervals; columns two spaces apart, one where the line would pass the width."""
    lines = [("", *table.columns)]
    for row in table.rows:
        lines.append((row.label, *map(_value, row.cells)))
        if row.note or any(cell.interval for cell in row.cells):
            lines.append((row.note, *(cell.interval for cell in row.cells)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    return [gap.join((line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:]))).rstrip() for line in lines]


def _words(table: Table) -> list[str]:
    """An item for each row: words have no columns that fit a line."""
    return [
        line
        for row in table.rows
        for line in _item(
            f"{' '.join(filter(None, (row.label, row.note)))}: "
            + "; ".join(f"{column}: {_value(cell)}" for column, cell in zip(table.columns, row.cells, strict=True))
        )
    ]


def _value(cell: Cell) -> str:
    return f"{cell.value}{MARK}" if cell.strong else cell.value


def _facts(pairs: Sequence[Fact]) -> list[str]:
    """Labels and values, in two columns."""
    indent = max((len(label) for label, _ in pairs), default=0) + 2
    return [line for label, value in pairs for line in _wrap(value, label.ljust(indent), " " * indent)]


def _item(text: str) -> Iterator[str]:
    yield from _wrap(text, "  - ", "    ")


def _wrap(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
