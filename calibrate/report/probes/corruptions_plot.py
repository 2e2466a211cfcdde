"""The figure of the scores on corrupted images, as inline SVG."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibrate.recipe import Corruption, c_style
from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import Corruptions, CorruptionScores


def corruption_heat_map(result: Corruptions, place: int) -> str:
    """Corruptions by severities: top-1 lost against clean images as it came and, where it is tuned, the change."""
    clean = result.means[0].plain.top1
    names = list(dict.fromkeys(scores.corruption for scores in result.scores))
    severities = list(dict.fromkeys(scores.severity for scores in result.scores))

    def table(value: Callable[[CorruptionScores], float]) -> np.ndarray:
        values = {(scores.corruption, scores.severity): 100 * value(scores) for scores in result.scores}
        return np.array([[values[name, severity] for severity in severities] for name in names])

    with drawing_style():
        figure = Figure(figsize=(8.6, 1.6 + 0.32 * len(names)), layout="constrained")
        panels = figure.subplots(1, 2 if result.arm else 1, sharey=True, squeeze=False)[0]
        lost = table(lambda scores: clean - scores.plain.top1)
        _panel(panels[0], lost, "Oranges", (0.0, max(float(lost.max()), 1.0)), ".0f")
        panels[0].set_title("as it came (T): points lost\nunder C-style corruption")
        if result.arm:
            change = table(lambda scores: (scores.tuned or scores.plain).top1 - scores.plain.top1)
            widest = max(float(np.abs(change).max()), 1.0)
            _panel(panels[1], change, "PuOr", (-widest, widest), "+.1f")
            panels[1].set_title(f"{result.arm} minus T: change in points\nunder C-style corruption")
        for axes in panels:
            axes.set_xticks(np.arange(len(severities)) + 0.5, [str(severity) for severity in severities])
            axes.set_xlabel("severity")
        panels[0].set_yticks(np.arange(len(names)) + 0.5, [c_style(name) for name in names])
        panels[0].invert_yaxis()
        return inline_svg(figure, f"probe-{place}", _label(names, result))


def _panel(axes: Axes, values: np.ndarray, colours: str, limits: tuple[float, float], number: str) -> None:
    """One cell for each value, in colour and as a number."""
    low, high = limits
    axes.pcolormesh(values, cmap=colours, vmin=low, vmax=high, edgecolors="white", linewidth=0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for (row, column), value in np.ndenumerate(values):
        dark = abs(value) > 0.6 * high
        text = f"{value + 0.0:{number}}"
        axes.text(
            column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9, color="white" if dark else "black"
        )


def _label(names: list[Corruption], result: Corruptions) -> str:
    change = f", and the change of {result.arm}" if result.arm else ""
    return f"Top-1 lost under {len(names)} C-style corruptions by severity{change}"
