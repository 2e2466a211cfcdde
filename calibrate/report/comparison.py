"""The runs of a batch side by side, as one HTML file, as CSV and as JSON; the same runs give the same bytes."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.report.changed import NO_ALPHA, alpha_words
from calibrate.report.compared import ARMS, COMPARED, Compared, Field
from calibrate.report.page import Page
from calibrate.report.verdict import verdict_sentence, verdict_words
from calibrate.result import Latency, Summary
from calibrate.steps import Difference, Measurement
from calibrate.values import METRICS, Metric

HOW_TO_READ = (
    "Scores and differences are of the n examples that the run measured, 95 % bootstrap intervals in brackets. "
    "alpha+T minus T, or tuned+T minus T where the statistics changed, is what the verdict rests on, tuned − T. "
    "Latency is that of tuned.onnx over the original network's."
)


@dataclass(frozen=True, slots=True)
class BatchComparison:
    """The runs in the order of their manifest."""

    runs: tuple[Compared, ...]

    def html(self) -> str:
        """One self-contained page: no script, no request."""
        return self._page().html()

    def csv(self) -> str:
        """One line per run, the columns those of :meth:`json`; what is absent is empty."""
        lines = io.StringIO()
        fields = [run.fields() for run in self.runs]
        writer = csv.DictWriter(lines, fieldnames=list(Compared(("", "", "")).fields()), lineterminator="\n")
        writer.writeheader()
        writer.writerows(fields)
        return lines.getvalue()

    def json(self) -> str:
        """``{"version": 2, "runs": [...]}``, each run flat; what is absent is null."""
        document: dict[str, int | list[dict[str, Field]]] = {
            "version": 2,
            "runs": [run.fields() for run in self.runs],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def text(self) -> str:
        """One paragraph per run, for a terminal."""
        return "\n".join(f"{run.name}: {_said(run)}" for run in self.runs) + "\n"

    def _page(self) -> Page:
        states = [run.state for run in self.runs]
        verdicts = [verdict_words(run.summary) for run in self.runs if run.summary]
        sentences = tuple((run.name, verdict_sentence(run.summary)) for run in self.runs if run.summary)
        failures = tuple((run.name, fmt.printable(run.error)) for run in self.runs if run.error)
        return Page(
            title=f"Comparison of {fmt.counted(len(self.runs), 'run')}",
            heading=(("runs", _counts(states)), ("verdicts", _counts(verdicts) or ABSENT)),
            sections=(
                Section("Runs", (HOW_TO_READ,), Table(_columns(), tuple(map(_row, self.runs)))),
                Section("Verdicts", () if sentences else ("Absent: no run is finished.",), facts=sentences),
                Section("Failures", () if failures else ("None.",), facts=failures),
            ),
            wide=True,
        )


def _counts(things: Iterable[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in Counter(things).items())


def _said(run: Compared) -> str:
    if run.summary is not None:
        return verdict_sentence(run.summary)
    return f"failed: {fmt.printable(run.error)}" if run.error else run.state


def _columns() -> tuple[str, ...]:
    scores = (f"{METRICS[metric][0]} {arm}" for metric in COMPARED for arm in ARMS)
    changes = (f"{METRICS[metric][0].replace(' %', ' points')} tuned − T" for metric in COMPARED)
    return ("verdict", *changes, "α", "T", *scores, "latency ratio", "n")


def _row(run: Compared) -> Row:
    model, dataset, recipe = run.names
    return Row(f"{model} / {dataset}", recipe, _cells(run, run.summary) if run.summary else _no_cells(run.state))


def _no_cells(state: str) -> tuple[Cell, ...]:
    return (Cell(state), *(Cell(ABSENT) for _ in _columns()[1:]))


def _cells(run: Compared, summary: Summary) -> tuple[Cell, ...]:
    measurement = summary.measurement
    difference = measurement.verdict_difference if measurement else None
    alpha = alpha_words(summary.changes)
    return (
        Cell(verdict_words(summary)),
        *(_change(difference, metric) for metric in COMPARED),
        Cell("none" if alpha == NO_ALPHA else alpha),
        Cell(fmt.short(summary.changes.temperature)),
        *_scores(measurement),
        _latency(run.latency),
        Cell(fmt.count(measurement.n) if measurement else ABSENT),
    )


def _latency(latency: Latency | None) -> Cell:
    if latency is None:
        return Cell(ABSENT)
    interval = f"[{latency.ratio_low:.3f}, {latency.ratio_high:.3f}] at batch {latency.batch_size}"
    return Cell(f"{latency.ratio:.3f}", interval)


def _change(difference: Difference | None, metric: Metric) -> Cell:
    if difference is None:
        return Cell(ABSENT)
    estimate = difference.metrics[metric]
    return Cell(fmt.change(metric, estimate.value), fmt.change_interval(metric, estimate))


def _scores(measurement: Measurement | None) -> Iterable[Cell]:
    arms = {scores.arm: scores.metrics for scores in measurement.arms} if measurement else {}
    for metric in COMPARED:
        for arm in ARMS:
            if arm in arms:
                estimate = arms[arm][metric]
                yield Cell(fmt.score(metric, estimate.value), fmt.score_interval(metric, estimate))
            else:
                yield Cell(ABSENT)
