"""Pages as plain text, for a terminal of 100 columns or a log file."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from calibrate.page.section import Cell, Fact, Section, Table

WIDTH = 100
#: So wide a label of a table may always be, and at most so wide one of a fact that its value stands beside.
LEAST_LABEL, MOST_LABEL = 10, 30
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
    return "\n".join((*above, underline * max(map(len, above), default=0), *lines))


def _lines(section: Section) -> list[str]:
    """What shows, the facts and numbers, and how to read them."""
    parts = [
        _wrap(" ".join(section.words[:1])),
        _facts(section.facts),
        [line for point in section.points for line in _item(point)],
    ]
    table = [] if section.table is None else _prose(section.table) if section.table.prose else _numbers(section.table)
    rest = [line for paragraph in section.words[1:] for line in _wrap(paragraph)]
    lines = list(chain.from_iterable(parts))
    return [*lines, *([""] if table and lines else []), *table, *([""] if table and rest else []), *rest]


def _numbers(table: Table) -> list[str]:
    """Values over their intervals; columns two spaces apart, one where the line would pass the width.

    Labels and notes that would are wrapped.
    """
    others = [[heading] for heading in table.columns]
    for row in table.rows:
        for column, cell in zip(others, row.cells, strict=True):
            column += [_value(cell), cell.interval]
    room = max(LEAST_LABEL, WIDTH - sum(1 + max(map(len, column)) for column in others))
    lines = [("", *table.columns)]
    for row in table.rows:
        label, *more = textwrap.wrap(row.label, room) or [""]
        lines.append((label, *map(_value, row.cells)))
        below = [*more, *textwrap.wrap(row.note, room)]
        if below or any(cell.interval for cell in row.cells):
            lines.append(("".join(below[:1]), *(cell.interval for cell in row.cells)))
        lines += [(words, *("" for _ in row.cells)) for words in below[1:]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    return [gap.join((line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:]))).rstrip() for line in lines]


def _prose(table: Table) -> list[str]:
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
    """Labels and values, in two columns; a label too long for the first stands above its value."""
    indent = min(MOST_LABEL, max((len(label) for label, _ in pairs), default=0)) + 2
    lines: list[str] = []
    for label, value in pairs:
        if len(label) > MOST_LABEL:
            lines += [*_wrap(label), *_wrap(value, " " * indent, " " * indent)]
        else:
            lines += _wrap(value, label.ljust(indent), " " * indent)
    return lines


def _item(text: str) -> Iterator[str]:
    yield from _wrap(text, "  - ", "    ")


def _wrap(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
