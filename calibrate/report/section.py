"""A section of a report: what all formats show of one probe."""

from collections.abc import Callable
from dataclasses import dataclass

from calibrate.report.rows import Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what shows, maybe a figure and a table, and paragraphs on how to read them.

    The first of ``words`` says what shows; ``draw`` makes the figure, as an inline SVG.
    """

    title: str
    words: tuple[str, ...]
    table: Table | None = None
    draw: Callable[[], str] | None = None
