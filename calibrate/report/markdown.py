"""Pages as GitHub-flavoured markdown, for a pull request or a wiki."""

import re
from collections.abc import Iterable, Sequence

from calibrate.page.section import Cell, Fact, Section, Table

#: What may mean something to markdown inside a line, or start a block where a line begins.
_INLINE = re.compile(r"[\\`*_{}\[\]<>|#&~$!]")
_OPENING = re.compile(r"^(\d*)([-+.)])(?=[-\s]|$)")


def markdown_page(title: str, heading: Sequence[Fact], sections: Iterable[Section]) -> str:
    """The page as markdown, without figures and pictures."""
    blocks = [f"# Afternorm: {_plain(title)}", *_facts(heading)]
    for section in sections:
        blocks += [f"## {_plain(section.title)}", *_first_words(section), *_facts(section.facts)]
        blocks += _items(section.points)
        blocks += [] if section.table is None else [_table(section.table)]
        blocks += map(_plain, section.words[1:])
    return "\n\n".join(blocks) + "\n"


def _first_words(section: Section) -> list[str]:
    """What shows; in bold where the section is set apart."""
    return [f"**{_plain(words)}**" if section.tone else _plain(words) for words in section.words[:1]]


def _table(table: Table) -> str:
    """A pipe table; numbers are set to the right."""
    side = "---" if table.prose else "---:"
    lines = [["", *map(_plain, table.columns)], ["---", *[side] * len(table.columns)]]
    for row in table.rows:
        label = f"{row.label} ({row.note})" if row.note else row.label
        lines.append([_plain(label), *map(_bold, row.cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bold(cell: Cell) -> str:
    words = _plain(f"{cell.value} {cell.interval}".strip())
    return f"**{words}**" if cell.strong else words


def _facts(pairs: Iterable[Fact]) -> list[str]:
    """Labels and values, as one list."""
    lines = "\n".join(f"- {_plain(label)}: {_plain(value)}" for label, value in pairs)
    return [lines] if lines else []


def _items(items: Iterable[str]) -> list[str]:
    lines = "\n".join(f"- {_plain(item)}" for item in items)
    return [lines] if lines else []


def _plain(text: str) -> str:
    """Text that markdown shows as it is, on one line."""
    escaped = _INLINE.sub(r"\\\g<0>", " ".join(text.split()))
    return _OPENING.sub(r"\1\\\2", escaped)
