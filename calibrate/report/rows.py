"""The tables of a report before they become text or HTML."""

from collections.abc import Callable

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Table
from calibrate.result import Summary
from calibrate.steps import Measurement
from calibrate.values import METRICS, Estimate, Metric

NO_SCORES = "Absent: this run measured nothing."
NO_DIFFERENCES = "Absent: there are no two arms to compare."


def scores_table(measurement: Measurement) -> Table:
    """One row per arm, one column per metric."""
    rows = tuple(
        Row(scores.arm, f"T = {fmt.short(scores.temperature)}", _cells(scores.metrics, fmt.score, fmt.score_interval))
        for scores in measurement.arms
    )
    return Table(tuple(label for label, _ in METRICS.values()), rows)


def differences_table(measurement: Measurement) -> Table:
    """One row per paired difference, the one that the verdict rests on first."""
    rows = tuple(
        Row(item.arm, f"minus {item.baseline}", _cells(item.metrics, fmt.change, fmt.change_interval))
        for item in sorted(measurement.differences, key=lambda item: item.baseline != "T")
    )
    return Table(tuple(label.replace(" %", " points") for label, _ in METRICS.values()), rows)


def difference_words(measurement: Measurement) -> str:
    """How to read the differences, and that the one the verdict rests on is missing, where it is."""
    if measurement.verdict_difference is None:
        return "Absent: alpha+T minus T, what the verdict rests on, because this run has not both arms."
    arm = measurement.verdict_difference.arm
    what = "α" if arm == "alpha+T" else "the tuning"
    return f"{arm} minus T is what the verdict rests on: the temperature is free, so {what} has to beat it."


def top5_note(summary: Summary) -> str:
    """That top-5 tells nothing where there are no more than five classes, else nothing."""
    return "Top-5 tells nothing here: there are no more than five classes." if summary.model.outputs <= 5 else ""


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
