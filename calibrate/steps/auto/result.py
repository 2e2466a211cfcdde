"""What came of the step: the leaderboard, and how it reads."""

import json
from statistics import median
from typing import Any, Literal

from calibrate.page import format as fmt
from calibrate.page.figure import Color, Figure, Line, Mark, Panel, Rule
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.steps.measure import JUDGED
from calibrate.steps.step import StepResult
from calibrate.values import Estimate, Metric, Value, Verdict

#: What the leaderboard calls the original network, without and with its temperature.
ORIGINAL = "original"
TAKEN = (ORIGINAL, "T")


class HoldoutScores(Value):
    """A network with its temperature on the holdout half; the original network, ``original``, has T = 1.

    ``against_original`` and ``against_t`` are paired differences from the original network, without and with its
    temperature; empty for these two, and ``holm`` with them: p-values of ``against_t``, two-sided, as they count among
    those of all candidates in both metrics. ``detectable`` is the smallest true difference from T (T's: from original)
    that as many examples show four times in five. ``verdict`` is on that same difference. ``graph`` names the graph it
    is served as, see ``Serving``; ``folds`` says that nothing of the change is left to compute in it. ``clean`` is its
    top-1 minus original's on the data as they are, where the others are of shifts.
    """

    temperature: float
    graph: str
    folds: bool
    metrics: dict[Metric, Estimate]
    against_original: dict[Metric, Estimate]
    against_t: dict[Metric, Estimate]
    holm: dict[Metric, float]
    detectable: dict[Metric, float]
    verdict: Verdict | None
    clean: Estimate | None = None


class LeaderboardRow(Value):
    """One candidate; ``original`` is the original network, ``T`` the same with its temperature.

    ``calibration`` is its NLL minus T's, in nats, on the ``calibration_n`` examples of the calibration half that no
    gradient step of it saw, with a 95 % interval; the choice was made by it. ``passes`` over the calibration half are
    those it needs alone, gradient steps threefold. ``note`` says why there is nothing more, or what was found on the
    way.
    """

    name: str
    state: Literal["measured", "dropped", "not tried", "not applicable"]
    note: str = ""
    passes: float = 0.0
    calibration: Estimate | None = None
    calibration_n: int = 0
    holdout: HoldoutScores | None = None


class Rung(Value):
    """One round of successive halving: which candidates saw how many examples, and which went on."""

    examples: int
    tried: tuple[str, ...]
    kept: tuple[str, ...]


class Leaderboard(StepResult):
    """All candidates on ``n`` examples, simplest first; ``chosen`` on the calibration half, ``recommended`` or not.

    ``recipe``, without what is the default, gives the recommended network, and its numbers, when it is carried out
    alone. ``domains`` are those the examples come in, where they are shifted, and ``guardrail`` what these may cost on
    the data as they are.
    """

    kind: Literal["auto"] = "auto"
    n: int
    resamples: int
    rows: tuple[LeaderboardRow, ...]
    chosen: str
    recommended: str | None
    recipe: dict[str, Any] | None
    reason: str
    passes: float
    rungs: tuple[Rung, ...] = ()
    domains: tuple[str, ...] = ()
    guardrail: float | None = None

    def row(self, name: str) -> LeaderboardRow:
        """The candidate of that name."""
        return {row.name: row for row in self.rows}[name]

    def sections(self) -> tuple[Section, ...]:
        """What is recommended and how all did against T; then against the original network, and what each costs."""
        measured = [(item, item.holdout) for item in self.rows if item.holdout is not None]
        places = Table(PLACES, tuple(Row(_label(self, item), "", _places(held)) for item, held in measured))
        costs = Table(COSTS, tuple(Row(_label(self, item), "", _costs(item, held)) for item, held in measured))
        figure = _figure(self) if any(held.against_t for _, held in measured) else None
        return (
            Section("Leaderboard", (_shows(self), *_how_to_read(self), *_others(self)), places, figure),
            Section("Leaderboard: gain over the original network, and cost", (_chosen(self), _cost_words()), costs),
        )


PLACES = ("top-1 %", "NLL", "minus T: points", "minus T: NLL", "Holm p")
COSTS = ("minus original: points", "minus original: NLL", "passes", "graph")
MARK = " ←"
_COLORS: dict[str, Color] = {"improved": "green", "no evidence": "grey", "worse": "orange"}


def _shows(board: Leaderboard) -> str:
    """What is recommended and why, and how to have it alone; or that nothing is."""
    if board.recommended is None:
        return f"Nothing is recommended: {fmt.printable(board.reason)}."
    alone = (
        ""
        if board.recipe is None
        else f" Alone it is the recipe {fmt.printable(json.dumps(board.recipe, ensure_ascii=False))}."
    )
    return f"Recommended: {fmt.printable(board.recommended)}. {fmt.printable(board.reason)}.{alone}"


def _how_to_read(board: Leaderboard) -> tuple[str, ...]:
    n = fmt.counted(board.n, "example")
    shifted = (
        f" Each example comes in one of {fmt.counted(len(board.domains), 'domain')}: "
        f"{', '.join(map(fmt.printable, board.domains))}."
        if board.domains
        else ""
    )
    return (
        f"Measured on {n} on which nothing was chosen, all but original with their temperature; in brackets 95 % "
        f"intervals (paired bootstrap, {fmt.count(board.resamples)} resamples). Holm p: the smaller of the two "
        "p-values of the differences from T, as it counts among all candidates; with none unlike T, about one table in "
        f"20 has a value below 0.05, or fewer.{shifted}",
        _detectable(board),
        *_guardrail(board),
        *_rungs(board),
    )


def _detectable(board: Leaderboard) -> str:
    """The median over candidates unlike T of the smallest difference that would be seen."""
    rows = [item.holdout.detectable for item in board.rows[2:] if item.holdout is not None]
    rows = [row for row in rows if any(row.values())]
    if not rows:
        return "No candidate that was measured gives predictions unlike T's, so there was no difference to be seen."
    middle: dict[Metric, float] = {metric: median(row[metric] for row in rows) for metric in JUDGED}
    return (
        "What as many examples can show: a true difference from T of "
        f"{fmt.score('top1', middle['top1'])} points of top-1 or {fmt.score('nll', middle['nll'])} of NLL is seen four "
        "times in five, smaller ones less often (median over candidates)."
    )


def _guardrail(board: Leaderboard) -> tuple[str, ...]:
    if board.guardrail is None:
        return ()
    kept = [
        f"{fmt.printable(item.name)} {_change('top1', item.holdout.clean)}"
        for item in board.rows[2:]
        if item.holdout is not None and item.holdout.clean is not None
    ]
    return (
        f"Guardrail: on the data as they are, at most {fmt.score('top1', board.guardrail)} points of top-1 may be "
        f"lost. Points there: {', '.join(kept) or 'no candidate was measured'}.",
    )


def _rungs(board: Leaderboard) -> tuple[str, ...]:
    return tuple(
        f"{'Then on' if place else 'On'} {fmt.counted(rung.examples, 'example')}{'' if place else ' first'}: "
        f"{fmt.counted(len(rung.tried), 'candidate')}, of which went on: "
        f"{'; '.join(map(fmt.printable, rung.kept)) or 'none'}."
        for place, rung in enumerate(board.rungs)
    )


def _others(board: Leaderboard) -> tuple[str, ...]:
    """The candidates without a place, and why; and what was found of the others."""
    return tuple(
        f"{fmt.printable(item.name)}: {item.state} ({fmt.printable(item.note).removesuffix('.')})."
        for item in board.rows
        if item.note
    )


def _chosen(board: Leaderboard) -> str:
    gaps = [
        f"{fmt.printable(item.name)} {_change('nll', item.calibration)}"
        for item in board.rows
        if item.name != "T" and item.calibration is not None
    ]
    return (
        f"Chosen on the calibration half: {fmt.printable(board.chosen)}. NLL minus T's there, on examples that no "
        "gradient step saw (flattered all the same, since the choice was made by it): "
        f"{'; '.join(gaps)}. All in all {fmt.short(board.passes)} passes."
    )


def _cost_words() -> str:
    return (
        "passes: over the calibration half, if tried alone, those of gradient steps threefold. graph: what is served; "
        "folded is the original network's, as nothing of the change is left to compute, and costs what it did. "
        "Candidates whose graphs differ in numbers only share one."
    )


def _label(board: Leaderboard, item: LeaderboardRow) -> str:
    return fmt.printable(item.name) + (MARK if item.name == board.recommended else "")


def _places(held: HoldoutScores) -> tuple[Cell, ...]:
    return (
        Cell(fmt.score("top1", held.metrics["top1"].value)),
        Cell(fmt.score("nll", held.metrics["nll"].value)),
        _difference("top1", held.against_t),
        _difference("nll", held.against_t),
        Cell(_p(min(held.holm.values())) if held.holm else ""),
    )


def _costs(item: LeaderboardRow, held: HoldoutScores) -> tuple[Cell, ...]:
    return (
        _difference("top1", held.against_original),
        _difference("nll", held.against_original),
        Cell(fmt.short(item.passes)),
        Cell(fmt.printable(held.graph)),
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _difference(metric: Metric, differences: dict[Metric, Estimate]) -> Cell:
    if not differences:
        return Cell("")
    return Cell(fmt.change(metric, differences[metric].value), fmt.change_interval(metric, differences[metric]))


def _change(metric: Metric, estimate: Estimate) -> str:
    return f"{fmt.change(metric, estimate.value)} {fmt.change_interval(metric, estimate)}"


def _figure(board: Leaderboard) -> Figure:
    """Each candidate's difference from T with its 95 % interval, in NLL and in top-1; the recommended one is bold."""
    rows = [(item.name, item.holdout) for item in board.rows if item.holdout and item.holdout.against_t]
    names = tuple((float(place), name) for place, (name, _) in enumerate(rows))
    nll = Panel(
        (*_intervals([held for _, held in rows], "nll", 1.0), Rule(x=0.0, color="black", dash="-")),
        x_label="NLL minus T's (less is better)",
        y_names=names,
        y_limits=(len(rows) - 0.5, -0.5),
        strong=board.recommended or "",
    )
    top1 = Panel(
        (*_intervals([held for _, held in rows], "top1", 100.0), Rule(x=0.0, color="black", dash="-")),
        x_label="points of top-1 minus T's (more is better)",
    )
    label = f"Differences of {len(rows)} candidates from T, with 95 % intervals"
    return Figure(label, ((nll, top1),), 8.6, 1.2 + 0.34 * max(len(rows), 1), share_y=True)


def _intervals(rows: list[HoldoutScores], metric: Metric, scale: float) -> list[Mark]:
    marks: list[Mark] = []
    for place, held in enumerate(rows):
        change, color = held.against_t[metric], _COLORS[held.verdict or "no evidence"]
        marks.append(Line([scale * change.low, scale * change.high], [place, place], color, width=2.2))
        marks.append(Line([scale * change.value], [place], color, marker="o", dash="", size=6))
    return marks
