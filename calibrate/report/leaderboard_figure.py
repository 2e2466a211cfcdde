"""The figure of a leaderboard."""

from calibrate.page.figure import Color, Figure, Line, Mark, Panel, Rule
from calibrate.steps import HeldOut, Leaderboard
from calibrate.values import Metric

_COLORS: dict[str, Color] = {"improved": "green", "no evidence": "grey", "worse": "orange"}


def against_t(board: Leaderboard) -> Figure:
    """Each candidate's difference from T with its 95 % interval, in NLL and in top-1; the recommended one is bold."""
    rows = [(item.name, item.held_out) for item in board.standings if item.held_out and item.held_out.against_t]
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


def _intervals(rows: list[HeldOut], metric: Metric, scale: float) -> list[Mark]:
    marks: list[Mark] = []
    for place, held in enumerate(rows):
        change, color = held.against_t[metric], _COLORS[held.verdict or "no evidence"]
        marks.append(Line([scale * change.low, scale * change.high], [place, place], color, width=2.2))
        marks.append(Line([scale * change.value], [place], color, marker="o", dash="", size=6))
    return marks
