"""The two figures of a report, as inline SVG."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from calibrate.page import format as fmt
from calibrate.report.alpha_axis import alpha_axis
from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import AlphaSearch, Arm, Bin, CurvePoint, Measurement

# Okabe and Ito's palette, told apart also without red or green.
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a8a8a"


def alpha_curve(search: AlphaSearch) -> str:
    """NLL before and after the temperature, and top-1, against α; the optima and the chosen α are marked.

    Markers are true evaluations; the line is the interpolated curve, or joins the markers where there is none. The axis
    sets out on the left from the first point, the network as trained, and opens up what is near it.
    """
    plain = search.points[0].alpha
    with drawing_style():
        figure = Figure(figsize=(7.0, 6.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        departures = _departures(search, search.points)
        after = np.array([point.nll_after_temperature for point in search.points])
        top1 = np.array([100 * point.top1 for point in search.points])
        _series(above, search, lambda point: point.nll, "s", "--", _GREY, "NLL before T")
        _series(above, search, lambda point: point.nll_after_temperature, "o", "-", _BLUE, "NLL after its best T")
        _series(below, search, lambda point: 100 * point.top1, "o", "-", _GREEN, "top-1")
        _band(above, search, lambda point: point.nll_band, 1, _BLUE)
        _band(below, search, lambda point: point.top1_band, 100, _GREEN)
        by_nll, by_top1, chosen = (
            abs(alpha - plain) for alpha in (search.best_by_nll, search.best_by_top1, search.chosen)
        )
        _mark(above, "D", by_nll, departures, after, f"best by NLL after T: α = {fmt.short(search.best_by_nll)}")
        _mark(below, "^", by_top1, departures, top1, f"best by top-1: α = {fmt.short(search.best_by_top1)}")
        for axes in (above, below):
            axes.axvline(chosen, color=_ORANGE, lw=5, alpha=0.3, label=f"chosen: α = {fmt.short(search.chosen)}")
            axes.legend(fontsize=10)
        spread = max(search.points[0].nll, after[0]) - after.min()
        _zoom(above, high=float(after.min() + max(4 * spread, 0.02)))
        chosen_top1 = np.interp(chosen, departures, top1)
        _zoom(below, low=float(min(top1.max() - max(4 * (top1.max() - top1[0]), 1.0), chosen_top1 - 0.5)))
        above.set_ylabel("NLL (nats)")
        below.set_ylabel("top-1 (%)")
        below.set_xlabel("α, the weight of an example in its own statistics")
        alpha_axis(below, departures, plain)
        label = (
            f"NLL and top-1 against α on the calibration half; chosen α {fmt.short(search.chosen)}, lowest NLL after T "
            f"at {fmt.short(search.best_by_nll)}, best top-1 at {fmt.short(search.best_by_top1)}"
        )
        return inline_svg(figure, "alpha-curve", label)


def reliability(measurement: Measurement) -> str:
    """Accuracy by confidence and the examples in each bin, for the network as it came and for the last arm."""
    measured = [scores.arm for scores in measurement.arms if measurement.reliability.get(scores.arm)]
    arms = measured if len(measured) < 2 else [measured[0], measured[-1]]
    with drawing_style():
        figure = Figure(figsize=(8.0, 5.2), layout="constrained")
        panels = figure.subplots(2, len(arms), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1))
        titles = []
        for column, arm in enumerate(arms):
            titles.append(_title(measurement, arm, last=column > 0))
            _accuracy(panels[0, column], measurement.reliability[arm])
            _histogram(panels[1, column], measurement.reliability[arm])
            panels[0, column].set_title(titles[-1])
        panels[0, 0].set_ylabel("accuracy (fraction correct)")
        panels[1, 0].set_ylabel("examples")
        panels[0, 0].legend(loc="upper left", fontsize=10)
        return inline_svg(figure, "reliability", f"Accuracy by confidence. {'; '.join(titles)}")


def _title(measurement: Measurement, arm: Arm, *, last: bool) -> str:
    ece = measurement.arm(arm).metrics["ece"].value
    return f"{'after' if last else 'before'} ({arm}): ECE {fmt.score('ece', ece)}"


def _accuracy(axes: Axes, bins: tuple[Bin, ...]) -> None:
    filled = [item for item in bins if item.count]
    axes.bar(
        [item.low for item in filled],
        [item.accuracy for item in filled],
        [item.high - item.low for item in filled],
        align="edge",
        color=_BLUE,
        edgecolor="white",
        label="accuracy in the bin",
    )
    axes.plot([0, 1], [0, 1], "--", color="black", lw=1.2, label="perfect calibration")
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _histogram(axes: Axes, bins: tuple[Bin, ...]) -> None:
    axes.bar(
        [item.low for item in bins],
        [item.count for item in bins],
        [item.high - item.low for item in bins],
        align="edge",
        color=_GREY,
        edgecolor="white",
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.count(round(value))))
    axes.set_xlabel("confidence (highest probability)")


def _series(
    axes: Axes,
    search: AlphaSearch,
    value: Callable[[CurvePoint], float],
    marker: str,
    line: str,
    colour: str,
    label: str,
) -> None:
    """Markers at the true evaluations, and a line along the curve, or through the markers where there is none."""
    true = _departures(search, search.points), [value(point) for point in search.points]
    if not search.curve:
        axes.plot(*true, marker + line, color=colour, ms=4, label=label)
        return
    axes.plot(_departures(search, search.curve), list(map(value, search.curve)), line, color=colour, label=label)
    axes.plot(*true, marker, color=colour, ms=4, ls="none")


def _band(
    axes: Axes,
    search: AlphaSearch,
    band: Callable[[CurvePoint], tuple[float, float] | None],
    scale: float,
    colour: str,
) -> None:
    """The bands, shaded, where the points have them."""
    shown = [(point, found) for point in search.curve or search.points if (found := band(point)) is not None]
    if shown:
        departures = _departures(search, [point for point, _ in shown])
        low, high = (np.array([scale * found[side] for _, found in shown]) for side in (0, 1))
        label = f"95 % of the difference from α = {fmt.short(search.points[0].alpha)}"
        axes.fill_between(departures, low, high, color=colour, alpha=0.2, lw=0, label=label)


def _departures(search: AlphaSearch, points: Sequence[CurvePoint]) -> np.ndarray:
    """How far α is from that of the network as trained, at each of ``points``."""
    return np.array([abs(point.alpha - search.points[0].alpha) for point in points])


def _mark(axes: Axes, marker: str, departure: float, departures: np.ndarray, values: np.ndarray, label: str) -> None:
    """A hollow marker on the curve at ``departure``."""
    height = np.interp(departure, departures, values)
    axes.plot([departure], [height], marker, color=_PURPLE, mfc="none", ms=13, mew=2.2, ls="none", label=label)


def _zoom(axes: Axes, low: float = -np.inf, high: float = np.inf) -> None:
    """Bring the differences that matter into view where far worse points would flatten them, and say so."""
    bottom, top = axes.get_ylim()
    if top > high:
        axes.set_ylim(top=high)
        axes.set_title("the curves go on above", loc="right", fontsize=10)
    if bottom < low:
        axes.set_ylim(bottom=low)
        axes.set_title("the curve goes on below", loc="right", fontsize=10)
