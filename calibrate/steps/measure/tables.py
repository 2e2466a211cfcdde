"""Scores and differences as tables, and how to read them."""

from collections.abc import Callable, Sequence

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Table
from calibrate.steps.measure.scores import Difference, EmptyArm, Scores
from calibrate.values import METRICS, Estimate, Metric


def scores_table(arms: Sequence[Scores], empty: Sequence[EmptyArm] = ()) -> Table:
    """One row per arm, one column per metric; those without scores first."""
    without = tuple(Row(item.arm, "no scores: see below", tuple(Cell(ABSENT) for _ in METRICS)) for item in empty)
    rows = tuple(
        Row(scores.arm, f"T = {fmt.short(scores.temperature)}", _cells(scores.metrics, fmt.score, fmt.score_interval))
        for scores in arms
    )
    return Table(tuple(label for label, _ in METRICS.values()), (*without, *rows))


def empty_words(empty: Sequence[EmptyArm]) -> tuple[str, ...]:
    """Why arms have no scores, a paragraph for each reason.

    >>> empty_words([EmptyArm(arm="original", reason="NaN"), EmptyArm(arm="T", reason="NaN")])
    ('No scores for original and T: NaN.',)
    """
    arms: dict[str, list[str]] = {}
    for item in empty:
        arms.setdefault(item.reason, []).append(item.arm)
    return tuple(f"No scores for {' and '.join(names)}: {fmt.printable(reason)}." for reason, names in arms.items())


def differences_table(differences: Sequence[Difference]) -> Table:
    """One row per paired difference, the one that the verdict rests on first."""
    rows = tuple(
        Row(item.arm, f"− {item.baseline}", _cells(item.metrics, fmt.change, fmt.change_interval))
        for item in sorted(differences, key=lambda item: item.baseline != "T")
    )
    return Table(tuple(label.replace(" %", " points") for label, _ in METRICS.values()), rows)


def interval_words(resamples: int) -> str:
    """What the brackets mean, and which way each metric is better."""
    up, down = (
        ", ".join(fmt.metric_name(metric) for metric, (_, more_is_better) in METRICS.items() if more_is_better is side)
        for side in (True, False)
    )
    return (
        f"In brackets: 95 % intervals, bootstrap, {fmt.count(resamples)} resamples. Higher is better: {up}. "
        f"Lower: {down}."
    )


def _cells(
    metrics: dict[Metric, Estimate],
    value: Callable[[Metric, float], str],
    interval: Callable[[Metric, Estimate], str],
) -> tuple[Cell, ...]:
    return tuple(
        Cell(value(metric, metrics[metric].value), interval(metric, metrics[metric]))
        if metric in metrics
        else Cell(ABSENT)
        for metric in METRICS
    )
