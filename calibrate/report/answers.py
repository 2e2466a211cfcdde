"""Changed predictions in words and tables: how many, in which classes, on which examples."""

import math
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from calibrate.page import format as fmt
from calibrate.page.section import Cell, Row, Table
from calibrate.result import Summary
from calibrate.steps import Answers, ClassChange, Direction

NO_ANSWERS = "Absent: this run compared no tuned network with the one that came."
NO_CHANGES = "None: every example is answered as before."

#: Up to so many classes are all shown; of more, so many.
SHOWN_CLASSES = 20

_DIRECTIONS: dict[Direction, str] = {"fixed": "fixed", "broken": "broken", "other": "wrong both times"}


@dataclass(frozen=True, slots=True)
class Example:
    """A changed example in words; ``thumbnail`` is a data URI, or empty."""

    direction: Direction
    kind: str
    truth: str
    before: str
    after: str
    entry: str
    thumbnail: str


def answers_words(answers: Answers) -> str:
    """How many predictions changed, and McNemar's test."""
    net = answers.fixed - answers.broken
    p = "p < 0.0001" if answers.p < 0.0001 else f"p = {answers.p:.4f}"
    points = fmt.change("top1", net / answers.n)
    return (
        f"Of {fmt.counted(answers.n, 'answer')}, {answers.arm} against {answers.baseline} fixed "
        f"{fmt.count(answers.fixed)} and broke {fmt.count(answers.broken)}: net {net:+,}, {points} points of top-1 "
        f"(McNemar's exact test: {p}). {fmt.count(answers.other)} more changed from one wrong class to another."
    )


def classes_table(answers: Answers) -> Table:
    """One row per class: all of up to ``SHOWN_CLASSES``, and of more those that changed most clearly."""
    columns = (
        "points",
        f"{answers.baseline} %",
        f"{answers.arm} %",
        "fixed",
        "broken",
    )
    return Table(columns, tuple(_class_row(item) for item in _shown(answers)))


def classes_words(answers: Answers) -> str:
    """Which classes are shown, what the brackets mean, and how many may look changed by chance."""
    classes = answers.classes
    which = f"All {len(classes)} classes of the holdout half." if len(classes) > 1 else "The only class held out."
    if len(classes) > SHOWN_CLASSES:
        which = (
            f"{SHOWN_CLASSES} of the {fmt.count(len(classes))} classes of the holdout half, those that changed most "
            f"clearly first: by |fixed − broken| / √(fixed + broken). summary.json has them all."
        )
    outside = sum(item.low > 0 or item.high < 0 for item in classes)
    return (
        f"{which} Of each class's examples, the per cent that are right. "
        f"In brackets: 95 % intervals of each class by itself (Bonett and Price's, for paired proportions). "
        f"Of {fmt.counted(len(classes), 'interval')}, {fmt.count(outside)} leave out 0, and up to about "
        f"{fmt.short(len(classes) / 20)} would by chance alone if nothing had changed: a single class is no proof."
    )


def examples_words(summary: Summary, answers: Answers) -> str:
    """Which of the changed examples are listed, and what their pictures are."""
    changed = answers.fixed + answers.broken + answers.other
    listed = len(answers.examples)
    which = (
        f"All {listed}" if listed == changed else f"{listed} of {fmt.count(changed)}, the most confident of their kind"
    )
    pictures = (
        "Pictures show what the network sees, before it is normalised."
        if summary.data.preprocessing is not None
        else "Pictures are network input, stretched from its lowest to its highest value: shapes, not true colours."
    )
    return f"{which}. In parentheses: the confidence, each with its temperature. {pictures}"


def changed_examples(answers: Answers, thumbnails: Mapping[int, bytes]) -> tuple[Example, ...]:
    """The listed examples: fixed, broken, then those that are wrong both times."""
    return tuple(
        Example(
            direction=item.direction,
            kind=_DIRECTIONS[item.direction],
            truth=class_name(item.label, item.name),
            before=f"{class_name(item.before.label, item.before.name)} ({item.before.confidence:.2f})",
            after=f"{class_name(item.after.label, item.after.name)} ({item.after.confidence:.2f})",
            entry=fmt.printable(item.entry),
            thumbnail=_data_uri(thumbnails[item.index]) if item.index in thumbnails else "",
        )
        for item in answers.examples
    )


def class_name(label: int, name: str | None) -> str:
    """A class by its name and number, or by its number alone."""
    return f"class {label}" if name is None else f"{fmt.printable(name)} [{label}]"


def _shown(answers: Answers) -> tuple[ClassChange, ...]:
    if len(answers.classes) <= SHOWN_CLASSES:
        return answers.classes
    return tuple(sorted(answers.classes, key=_clarity, reverse=True)[:SHOWN_CLASSES])


def _clarity(item: ClassChange) -> float:
    return abs(item.fixed - item.broken) / math.sqrt(max(1, item.fixed + item.broken))


def _class_row(item: ClassChange) -> Row:
    low, high = fmt.change("top1", item.low), fmt.change("top1", item.high)
    cells = (
        Cell(fmt.change("top1", item.change), f"[{low}, {high}]"),
        Cell(fmt.score("top1", item.before / item.n)),
        Cell(fmt.score("top1", item.after / item.n)),
        Cell(fmt.count(item.fixed)),
        Cell(fmt.count(item.broken)),
    )
    return Row(class_name(item.label, item.name), f"n = {fmt.count(item.n)}", cells)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
