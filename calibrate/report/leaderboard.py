"""The leaderboard of an automatic search, as sections."""

import json
from statistics import median

from calibrate.page import format as fmt
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.recipe import Recipe
from calibrate.report.leaderboard_figure import against_t
from calibrate.result import Serving, Summary
from calibrate.steps import JUDGED, HeldOut, Leaderboard, LeaderboardRow
from calibrate.values import Estimate, Metric

PLACES = ("top-1 %", "NLL", "minus T: points", "minus T: NLL", "Holm p")
COSTS = ("minus plain: points", "minus plain: NLL", "passes", "folds", "size", "latency")
MARK = " ←"


def leaderboard_sections(summary: Summary) -> tuple[Section, ...]:
    """What is recommended and how all did against T; then against the original network, and what each costs."""
    board = summary.leaderboard
    if board is None:
        return ()

    figure = against_t(board) if any(item.held_out and item.held_out.against_t for item in board.standings) else None
    measured = [(item, item.held_out) for item in board.standings if item.held_out is not None]
    places = Table(PLACES, tuple(Row(_label(board, item), "", _places(held)) for item, held in measured))
    serving = {item.graph: item for item in summary.serving}
    costs = Table(
        COSTS,
        tuple(Row(_label(board, item), "", _costs(item, held, serving.get(held.graph))) for item, held in measured),
    )
    return (
        Section(
            "Leaderboard",
            (recommendation(board), *_how_to_read(board), *_others(board)),
            places,
            figure,
        ),
        Section("Leaderboard: gain over the original network, and cost", (_chosen(board), _cost_words()), costs),
    )


def recommendation(board: Leaderboard) -> str:
    """What is recommended and why, and how to have it alone; or that nothing is."""
    if board.recommended is None:
        return f"Nothing is recommended: {fmt.printable(board.reason)}."
    alone = "" if board.recipe is None else f" Alone it is the recipe {_canonical(board)}."
    return f"Recommended: {fmt.printable(board.recommended)}. {fmt.printable(board.reason)}.{alone}"


def _canonical(board: Leaderboard) -> str:
    assert board.recipe is not None
    recipe = Recipe.model_validate(board.recipe)
    return fmt.printable(json.dumps(json.loads(recipe.canonical), ensure_ascii=False))


def _how_to_read(board: Leaderboard) -> tuple[str, ...]:
    n = fmt.counted(board.n, "example")
    shifted = (
        f" Each example comes in one of {len(board.domains)} domains: {', '.join(board.domains)}."
        if board.domains
        else ""
    )
    return (
        f"Measured on {n} on which nothing was chosen, all but plain with their temperature; in brackets 95 % "
        f"intervals (paired bootstrap, {fmt.count(board.resamples)} resamples). Holm p: the smaller of the two "
        "p-values of the differences from T, as it counts among all candidates; with none unlike T, about one table in "
        f"20 has a value below 0.05, or fewer.{shifted}",
        _detectable(board),
        *_guardrail(board),
        *_rungs(board),
    )


def _detectable(board: Leaderboard) -> str:
    """The median over candidates unlike T of the smallest difference that would be seen."""
    rows = [item.held_out.detectable for item in board.standings[2:] if item.held_out is not None]
    rows = [row for row in rows if any(row.values())]
    if not rows:
        return "No candidate that was measured gives answers unlike T's, so there was no difference to be seen."
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
        f"{fmt.printable(item.name)} {_change('top1', item.held_out.clean)}"
        for item in board.standings[2:]
        if item.held_out is not None and item.held_out.clean is not None
    ]
    return (
        f"Guardrail: on the data as they are, at most {fmt.score('top1', board.guardrail)} points of top-1 may be "
        f"lost. Points there: {', '.join(kept) or 'no candidate was measured'}.",
    )


def _rungs(board: Leaderboard) -> tuple[str, ...]:
    return tuple(
        f"On {fmt.counted(rung.examples, 'example')} first: {len(rung.tried)} candidates, of which "
        f"{', '.join(map(fmt.printable, rung.kept)) or 'none'} went on."
        for rung in board.rungs
    )


def _others(board: Leaderboard) -> tuple[str, ...]:
    """The candidates without a place, and why; and what was found of the others."""
    return tuple(
        f"{fmt.printable(item.name)}: {item.state} ({fmt.printable(item.note).removesuffix('.')})."
        for item in board.standings
        if item.note
    )


def _chosen(board: Leaderboard) -> str:
    gaps = [
        f"{fmt.printable(item.name)} {_change('nll', item.calibration)}"
        for item in board.standings
        if item.name != "T" and item.calibration is not None
    ]
    return (
        f"Chosen on the calibration half: {fmt.printable(board.chosen)}. NLL minus T's there, on examples that no "
        "gradient step saw (flattered all the same, since the choice was made by it): "
        f"{'; '.join(gaps)}. All in all {fmt.short(board.passes)} passes."
    )


def _cost_words() -> str:
    return (
        "passes: over the calibration half, if tried alone, those of gradient steps threefold. folds: nothing "
        "of the change is left to compute, and the network costs what it did. size and latency: of the ONNX "
        "graph, over those of the plain folded one (batch size 1); candidates whose graphs differ in numbers only "
        "share them."
    )


def _label(board: Leaderboard, item: LeaderboardRow) -> str:
    return fmt.printable(item.name) + (MARK if item.name == board.recommended else "")


def _places(held: HeldOut) -> tuple[Cell, ...]:
    return (
        Cell(fmt.score("top1", held.metrics["top1"].value)),
        Cell(fmt.score("nll", held.metrics["nll"].value)),
        _difference("top1", held.against_t),
        _difference("nll", held.against_t),
        Cell(f"{min(held.holm.values()):.3f}" if held.holm else ""),
    )


def _costs(item: LeaderboardRow, held: HeldOut, serving: Serving | None) -> tuple[Cell, ...]:
    size, latency = Cell(""), Cell("")
    if serving is not None:
        size = Cell(f"{serving.bytes / serving.plain_bytes:.2f}")
        if serving.latency:
            first = serving.latency[0]
            latency = Cell(f"{first.ratio:.2f}", f"[{first.ratio_low:.2f}, {first.ratio_high:.2f}]")
    elif held.folds:
        size, latency = Cell("1.00"), Cell("1.00")
    return (
        _difference("top1", held.against_plain),
        _difference("nll", held.against_plain),
        Cell(fmt.short(item.passes)),
        Cell("yes" if held.folds else "no"),
        size,
        latency,
    )


def _difference(metric: Metric, differences: dict[Metric, Estimate]) -> Cell:
    if not differences:
        return Cell("")
    return Cell(fmt.change(metric, differences[metric].value), fmt.change_interval(metric, differences[metric]))


def _change(metric: Metric, estimate: Estimate) -> str:
    return f"{fmt.change(metric, estimate.value)} {fmt.change_interval(metric, estimate)}"
