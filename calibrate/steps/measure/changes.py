"""Changed predictions in words and tables: how many, in which classes, on which examples."""

import math

from calibrate.page import format as fmt
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.steps.measure.scores import ChangedExample, ClassChange, Direction, Prediction, PredictionChanges

#: Up to so many classes are all shown; of more, so many.
SHOWN_CLASSES = 20

_DIRECTIONS: dict[Direction, str] = {"fixed": "fixed", "broken": "broken", "other": "wrong both times"}


def change_sections(changes: PredictionChanges) -> tuple[Section, ...]:
    """The change in each class, and some of the examples whose prediction changed."""
    return (
        Section("Change in each class", (classes_words(changes),), classes_table(changes), detail=True),
        _examples(changes),
    )


def counts_words(changes: PredictionChanges) -> str:
    """How many predictions changed, and McNemar's test."""
    net = changes.fixed - changes.broken
    p = "p < 0.0001" if changes.p < 0.0001 else f"p = {changes.p:.4f}"
    points = fmt.change("top1", net / changes.n)
    return (
        f"Of {fmt.counted(changes.n, 'prediction')}, {changes.arm} against {changes.baseline} fixed "
        f"{fmt.count(changes.fixed)} and broke {fmt.count(changes.broken)}: net {net:+,}, {points} points of top-1 "
        f"(McNemar's exact test: {p}). {fmt.count(changes.other)} more changed from one wrong class to another."
    )


def classes_table(changes: PredictionChanges) -> Table:
    """One row per class: all of up to ``SHOWN_CLASSES``, and of more those that changed most clearly."""
    columns = (
        "points",
        f"{changes.baseline} %",
        f"{changes.arm} %",
        "fixed",
        "broken",
    )
    return Table(columns, tuple(_class_row(item) for item in _shown(changes)))


def classes_words(changes: PredictionChanges) -> str:
    """Which classes are shown, what the brackets mean, and how many may look changed by chance."""
    classes = changes.classes
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


def _examples(changes: PredictionChanges) -> Section:
    """The listed examples: fixed, broken, then those that are wrong both times."""
    title = "Examples whose prediction changed"
    if not changes.examples:
        return Section(title, ("None: every prediction is as before.",), detail=True)
    changed, listed = changes.fixed + changes.broken + changes.other, len(changes.examples)
    which = (
        f"All {listed}" if listed == changed else f"{listed} of {fmt.count(changed)}, the most confident of their kind"
    )
    words = (f"{which}. In parentheses: the confidence, each with its temperature.",)
    columns = ("true class", "before", "after", "example")
    return Section(title, words, Table(columns, tuple(map(_example_row, changes.examples)), prose=True), detail=True)


def _example_row(item: ChangedExample) -> Row:
    cells = (class_name(item.label, item.name), _predicted(item.before), _predicted(item.after))
    return Row(_DIRECTIONS[item.direction], "", (*map(Cell, cells), Cell(fmt.printable(item.entry))), item.index)


def _predicted(prediction: Prediction) -> str:
    return f"{class_name(prediction.label, prediction.name)} ({prediction.confidence:.2f})"


def class_name(label: int, name: str | None) -> str:
    """A class by its name and number, or by its number alone."""
    return f"class {label}" if name is None else f"{fmt.printable(name)} [{label}]"


def _shown(changes: PredictionChanges) -> tuple[ClassChange, ...]:
    if len(changes.classes) <= SHOWN_CLASSES:
        return changes.classes
    return tuple(sorted(changes.classes, key=_clarity, reverse=True)[:SHOWN_CLASSES])


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
