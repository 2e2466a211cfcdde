"""The report as GitHub-flavoured markdown, for a pull request or a wiki."""

import re
from collections.abc import Iterable, Sequence

from calibrate.page import format as fmt
from calibrate.page.section import Section, Table
from calibrate.report import facts
from calibrate.report.answers import (
    NO_ANSWERS,
    NO_CHANGES,
    answers_words,
    changed_examples,
    classes_table,
    classes_words,
    examples_words,
)
from calibrate.report.changed import site_groups
from calibrate.report.layers import NO_LAYERS, layers_table, layers_words
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

#: What may mean something to markdown inside a line, or start a block where a line begins.
_INLINE = re.compile(r"[\\`*_{}\[\]<>|#&~$!]")
_OPENING = re.compile(r"^(\d*)([-+.)])(?=[-\s]|$)")


def render_markdown(summary: Summary) -> str:
    """The report as markdown: the tables and sentences of the text and HTML reports, without figures or pictures."""
    reasons = _items(fmt.printable(reason) for reason in summary.reasons)
    chosen = (*facts.choice_facts(summary), ("sites", "; ".join(site_groups(summary.changes))))
    made = (*facts.environment_facts(summary), *facts.fingerprint_facts(summary))
    heading, scores = _scores(summary)
    blocks = (
        f"# Afternorm: {plain_words(facts.title(summary))}",
        *fact_items(facts.heading_facts(summary)),
        f"**{plain_words(verdict_sentence(summary))}**",
        *reasons,
        *_sections(leaderboard_sections(summary)),
        f"## {plain_words(heading)}",
        *scores,
        "## Differences on the same examples",
        *_differences(summary),
        "## Chosen",
        *fact_items(chosen),
        "## Change in each class",
        *_classes(summary),
        "## Examples whose answer changed",
        *_examples(summary),
        "## Normalisation layers",
        *_layers(summary),
        *_sections(learned_sections(summary)),
        *_sections(probe_sections(summary)),
        "## Files",
        *_files(summary),
        "## Findings",
        *(fact_items(facts.finding_facts(summary)) or [facts.NO_FINDINGS]),
        "## How it was made",
        *fact_items(made),
    )
    return "\n\n".join(blocks) + "\n"


def _scores(summary: Summary) -> tuple[str, list[str]]:
    measurement = summary.measurement
    if measurement is None:
        return "Scores", [NO_SCORES]
    notes = f"{facts.interval_words(measurement)} {top5_note(summary)}"
    return f"Scores on {facts.measured_on(summary)}", [_numbers(scores_table(measurement)), plain_words(notes)]


def _differences(summary: Summary) -> list[str]:
    measurement = summary.measurement
    if measurement is None or not measurement.differences:
        return [NO_DIFFERENCES]
    words = [difference_words(measurement)] + ([answers_words(summary.answers)] if summary.answers else [])
    return [_numbers(differences_table(measurement)), *map(plain_words, words)]


def _classes(summary: Summary) -> list[str]:
    if summary.answers is None:
        return [NO_ANSWERS]
    return [_numbers(classes_table(summary.answers)), plain_words(classes_words(summary.answers))]


def _examples(summary: Summary) -> list[str]:
    answers = summary.answers
    if answers is None or not answers.examples:
        return [NO_ANSWERS if answers is None else NO_CHANGES]
    rows = [(item.kind, item.truth, item.before, item.after, item.entry) for item in changed_examples(answers, {})]
    words = examples_words(summary, answers).partition(" Pictures ")[0]
    return [_table(("", "true class", "before", "after", "example"), rows, right=False), plain_words(words)]


def _layers(summary: Summary) -> list[str]:
    if not summary.layers:
        return [NO_LAYERS]
    return [_numbers(layers_table(summary.layers)), plain_words(layers_words())]


def _sections(sections: Iterable[Section]) -> list[str]:
    blocks = []
    for section in sections:
        blocks += [f"## {plain_words(section.title)}", plain_words(section.words[0])]
        blocks += [*([_numbers(section.table)] if section.table else []), *map(plain_words, section.words[1:])]
    return blocks


def _files(summary: Summary) -> list[str]:
    blocks = []
    for file in files(summary):
        blocks += [f"{plain_words(file.name)} ({file.kind})", *_items((f"sha256 {file.sha256}", *file.checks))]
    return blocks or [NO_FILES]


def _numbers(table: Table) -> str:
    rows = [
        (
            f"{row.label} ({row.note})" if row.note else row.label,
            *(f"{cell.value} {cell.interval}".strip() for cell in row.cells),
        )
        for row in table.rows
    ]
    return _table(("", *table.columns), rows, right=True)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool) -> str:
    """A pipe table; all columns but the first are set to the right where ``right``."""
    rule = ["---", *["---:" if right else "---"] * (len(columns) - 1)]
    lines = [map(plain_words, columns), rule, *(map(plain_words, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fact_items(pairs: Iterable[facts.Fact]) -> list[str]:
    """Labels and values, as one list."""
    lines = "\n".join(f"- {plain_words(label)}: {plain_words(value)}" for label, value in pairs)
    return [lines] if lines else []


def _items(items: Iterable[str]) -> list[str]:
    lines = "\n".join(f"- {plain_words(item)}" for item in items)
    return [lines] if lines else []


def plain_words(text: str) -> str:
    """Text that markdown shows as it is, on one line."""
    escaped = _INLINE.sub(r"\\\g<0>", " ".join(text.split()))
    return _OPENING.sub(r"\1\\\2", escaped)
