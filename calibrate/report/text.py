"""The report as plain text, for a terminal of 100 columns or a log file."""

import textwrap
from collections.abc import Iterable, Iterator

from calibrate.page import format as fmt
from calibrate.page.section import Section, Table
from calibrate.report import facts
from calibrate.report.answers import answers_words
from calibrate.report.changed import site_groups
from calibrate.report.leaderboard import leaderboard_sections
from calibrate.report.learned import learned_sections, probe_sections
from calibrate.report.rows import (
    NO_DIFFERENCES,
    NO_SCORES,
    difference_words,
    differences_table,
    scores_table,
    top5_note,
)
from calibrate.report.verdict import verdict_sentence
from calibrate.report.written_files import NO_FILES, files
from calibrate.result import Summary

WIDTH = 100


def render_text(summary: Summary) -> str:
    """The report as lines of at most 100 columns (a table of unusually large numbers may pass them), without colour."""
    chosen = (*facts.choice_facts(summary), ("sites", "; ".join(site_groups(summary.changes))))
    numbers = (*facts.environment_facts(summary), *facts.fingerprint_facts(summary))
    blocks = (
        titled(f"Afternorm: {facts.title(summary)}", fact_lines(facts.heading_facts(summary)), "="),
        *_sections(leaderboard_sections(summary)),
        titled(*_scores(summary)),
        titled("Differences on the same examples", _differences(summary)),
        titled("Verdict", [*_wrap(verdict_sentence(summary)), *_items(summary.reasons)]),
        titled("Chosen", fact_lines(chosen)),
        *_sections(learned_sections(summary)),
        *_sections(probe_sections(summary)),
        titled("Findings", fact_lines(facts.finding_facts(summary)) or [facts.NO_FINDINGS]),
        titled("Files", _files(summary)),
        titled("How it was made", fact_lines(numbers)),
    )
    return "\n\n".join(blocks) + "\n"


def render_brief(summary: Summary) -> str:
    """The part of the report that answers the question: what was measured, on what, and the verdict."""
    blocks = (
        titled(facts.title(summary), fact_lines(facts.heading_facts(summary)), "="),
        titled(*_scores(summary)),
        titled("Verdict", [*_wrap(verdict_sentence(summary)), *_items(summary.reasons)]),
    )
    return "\n\n".join(blocks) + "\n"


def titled(heading: str, lines: Iterable[str], underline: str = "-") -> str:
    """A heading, underlined, over ``lines``."""
    above = _wrap(heading)
    return "\n".join((*above, underline * max(map(len, above)), *lines))


def _scores(summary: Summary) -> tuple[str, list[str]]:
    measurement = summary.measurement
    if measurement is None:
        return "Scores", [NO_SCORES]
    notes = [*_wrap(facts.interval_words(measurement)), *_wrap(top5_note(summary))]
    return f"Scores on {facts.measured_on(summary)}", [*table_lines(scores_table(measurement)), "", *notes]


def _differences(summary: Summary) -> list[str]:
    measurement = summary.measurement
    if measurement is None or not measurement.differences:
        return [NO_DIFFERENCES]
    counts = _wrap(answers_words(summary.answers)) if summary.answers else []
    return [*table_lines(differences_table(measurement)), "", *_wrap(difference_words(measurement)), *counts]


def table_lines(table: Table) -> list[str]:
    """Values over their intervals; columns two spaces apart, one where the line would pass the width."""
    lines = [("", *table.columns)]
    for row in table.rows:
        lines.append((row.label, *(cell.value for cell in row.cells)))
        if row.note or any(cell.interval for cell in row.cells):
            lines.append((row.note, *(cell.interval for cell in row.cells)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    return [gap.join((line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:]))).rstrip() for line in lines]


def _sections(sections: Iterable[Section]) -> Iterator[str]:
    return (titled(section.title, shown(section)) for section in sections)


def shown(section: Section) -> list[str]:
    """What shows, the numbers, and how to read them."""
    table = ["", *table_lines(section.table), ""] if section.table else []
    return [*_wrap(section.words[0]), *table, *paragraphs(section.words[1:])]


def paragraphs(words: Iterable[str]) -> list[str]:
    """Paragraphs, wrapped."""
    return [line for paragraph in words for line in _wrap(paragraph)]


def _files(summary: Summary) -> list[str]:
    lines: list[str] = []
    for file in files(summary):
        lines += [*_wrap(f"{file.name} ({file.kind})"), *_items((f"sha256 {file.sha256}", *file.checks))]
    return lines or [NO_FILES]


def fact_lines(pairs: tuple[facts.Fact, ...]) -> list[str]:
    """Labels and values, in two columns."""
    indent = max((len(label) for label, _ in pairs), default=0) + 2
    return [line for label, value in pairs for line in _wrap(value, label.ljust(indent), " " * indent)]


def _items(items: Iterable[str]) -> Iterator[str]:
    for item in items:
        yield from _wrap(fmt.printable(item), "  - ", "    ")


def _wrap(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
