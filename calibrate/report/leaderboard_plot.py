"""The figure of a leaderboard, as inline SVG."""

from matplotlib.figure import Figure

from calibrate.page import format as fmt
from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import Leaderboard, Metric

_GOOD, _EVEN, _BAD = "#009e73", "#7f7f7f", "#d55e00"
_COLOURS = {"improved": _GOOD, "no evidence": _EVEN, "worse": _BAD}


def against_t(board: Leaderboard) -> str:
    """Each candidate's difference from T with its 95 % interval, in NLL and in top-1; the recommended one is bold."""
    rows = [(item.name, item.held_out) for item in board.standings if item.held_out and item.held_out.against_t]
    with drawing_style():
        figure = Figure(figsize=(8.6, 1.2 + 0.34 * max(len(rows), 1)), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        shown: tuple[tuple[Metric, str, float], ...] = (
            ("nll", "NLL minus T's (less is better)", 1.0),
            ("top1", "points of top-1 minus T's (more is better)", 100.0),
        )
        for axes, (metric, label, scale) in zip(panels, shown, strict=True):
            for place, (_, held) in enumerate(rows):
                change = held.against_t[metric]
                axes.plot(
                    [scale * change.low, scale * change.high],
                    [place, place],
                    color=_COLOURS[held.verdict or "no evidence"],
                    lw=2.2,
                )
                axes.plot([scale * change.value], [place], "o", color=_COLOURS[held.verdict or "no evidence"], ms=6)
            axes.axvline(0, color="black", lw=1)
            axes.set_xlabel(label)
        panels[0].set_yticks(range(len(rows)), [_escaped(name) for name, _ in rows])
        for text, (name, _) in zip(panels[0].get_yticklabels(), rows, strict=True):
            text.set_fontweight("bold" if name == board.recommended else "normal")
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        return inline_svg(figure, "leaderboard", f"Differences of {len(rows)} candidates from T, with 95 % intervals")


def _escaped(name: str) -> str:
    """A name that matplotlib does not take for a formula."""
    return fmt.printable(name).replace("$", r"\$")
