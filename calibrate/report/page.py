"""A page: a heading, sections and how it was made, as text, as markdown and as one self-contained HTML file."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from calibrate.page.section import Cell, Section, Table
from calibrate.report.facts import Fact
from calibrate.report.html import templates
from calibrate.report.markdown import fact_items, plain_words
from calibrate.report.text import fact_lines, shown, titled

if TYPE_CHECKING:
    from markupsafe import Markup

#: How plain text marks what HTML and markdown show in bold.
MARK = "*"


@dataclass(frozen=True, slots=True)
class Page:
    """What all formats show; figures only HTML has."""

    title: str
    heading: tuple[Fact, ...]
    sections: tuple[Section, ...]
    made: tuple[Fact, ...]

    def text(self) -> str:
        """Lines of at most 100 columns, where the tables allow it."""
        blocks = [titled(f"Afternorm: {self.title}", fact_lines(self.heading), "=")]
        for section in self.sections:
            marked = replace(section, table=_marked(section.table)) if section.table else section
            blocks.append(titled(section.title, shown(marked)))
        return "\n\n".join([*blocks, titled("How it was made", fact_lines(self.made))]) + "\n"

    def markdown(self) -> str:
        """GitHub-flavoured markdown."""
        blocks = [f"# Afternorm: {plain_words(self.title)}", *fact_items(self.heading)]
        for section in self.sections:
            table = [_pipes(section.table)] if section.table else []
            blocks += [f"## {plain_words(section.title)}", *map(plain_words, section.words[:1]), *table]
            blocks += map(plain_words, section.words[1:])
        return "\n\n".join([*blocks, "## How it was made", *fact_items(self.made)]) + "\n"

    def html(self) -> str:
        """One page: no script, no request; the same page gives the same bytes."""
        figures = [(section, _figure(section, place)) for place, section in enumerate(self.sections)]
        template = templates().get_template("page.html.jinja")
        return template.render(title=self.title, heading=self.heading, sections=figures, made=self.made)


def _figure(section: Section, place: int) -> "Markup | None":
    from markupsafe import Markup

    from calibrate.report.draw import svg

    return Markup(svg(section.figure, f"figure-{place}")) if section.figure else None  # noqa: S704


def _marked(table: Table) -> Table:
    rows = (
        replace(row, cells=tuple(replace(c, value=f"{c.value} {MARK}") if c.strong else c for c in row.cells))
        for row in table.rows
    )
    return replace(table, rows=tuple(rows))


def _pipes(table: Table) -> str:
    lines = [["", *map(plain_words, table.columns)], ["---", *["---:"] * len(table.columns)]]
    for row in table.rows:
        label = f"{row.label} ({row.note})" if row.note else row.label
        lines.append([plain_words(label), *map(_bold, row.cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bold(cell: Cell) -> str:
    words = plain_words(f"{cell.value} {cell.interval}".strip())
    return f"**{words}**" if cell.strong else words
