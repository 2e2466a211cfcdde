"""A section of a report: what all formats show of one probe."""

from collections.abc import Callable
from dataclasses import dataclass

from calibrate.report.rows import Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, paragraphs, and maybe a table and a figure; ``draw`` makes the latter, as an inline SVG."""

    title: str
    words: tuple[str, ...]
    table: Table | None = None
    draw: Callable[[], str] | None = None
