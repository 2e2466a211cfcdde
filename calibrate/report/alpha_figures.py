"""The figures of a search for α: what it measured at each α, with labels or without."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Color, Figure, Line, Mark, Panel, Rule
from calibrate.steps import AlphaSearch, CurvePoint, LabelFreeSearch

_X_LABEL = "α, the weight of an example in its own statistics"


def alpha_curve(search: AlphaSearch) -> Figure:
    """NLL before and after the temperature, and top-1, against α; the optima and the chosen α are marked.

    Markers are true evaluations; the line is the interpolated curve, or joins the markers where there is none. The axis
    begins on the left at the first point, the network as trained, and opens up what is near it.
    """
    start = search.points[0].alpha
    departures = _departures(search, search.points)
    before = [point.nll for point in search.points]
    after = [point.nll_after_temperature for point in search.points]
    top1 = [100 * point.top1 for point in search.points]
    by_nll, by_top1, chosen = (abs(alpha - start) for alpha in (search.best_by_nll, search.best_by_top1, search.chosen))
    choice = Rule(
        x=chosen, color="orange", label=f"chosen: α = {fmt.short(search.chosen)}", dash="-", width=5, opacity=0.3
    )
    best_nll = f"best by NLL after T: α = {fmt.short(search.best_by_nll)}"
    best_top1 = f"best by top-1: α = {fmt.short(search.best_by_top1)}"
    spread = max(before[0], after[0]) - min(after)
    above = Panel(
        (
            *_series(search, lambda point: point.nll, "s", "--", "grey", "NLL before T"),
            *_series(search, lambda point: point.nll_after_temperature, "o", "-", "blue", "NLL after its best T"),
            *_band(search, lambda point: point.nll_band, 1, "blue"),
            _mark("D", by_nll, departures, after, best_nll),
            choice,
        ),
        y_label="NLL (nats)",
        alpha_from=start,
        legend="best",
        cut_above=(min(after) + max(4 * spread, 0.02), "the curves go on above"),
    )
    lowest = min(max(top1) - max(4 * (max(top1) - top1[0]), 1.0), _height(chosen, departures, top1) - 0.5)
    below = Panel(
        (
            *_series(search, lambda point: 100 * point.top1, "o", "-", "green", "top-1"),
            *_band(search, lambda point: point.top1_band, 100, "green"),
            _mark("^", by_top1, departures, top1, best_top1),
            choice,
        ),
        x_label=_X_LABEL,
        y_label="top-1 (%)",
        alpha_from=start,
        legend="best",
        cut_below=(lowest, "the curve goes on below"),
    )
    label = (
        f"NLL and top-1 against α on the calibration half; chosen α {fmt.short(search.chosen)}, lowest NLL after T "
        f"at {fmt.short(search.best_by_nll)}, best top-1 at {fmt.short(search.best_by_top1)}"
    )
    return Figure(label, ((above,), (below,)), 7.0, 6.2, (3, 2), share_x=True)


def label_free_curve(search: LabelFreeSearch) -> Figure:
    """The criterion at each α that was tried, the band of its difference from the first, and the chosen α."""
    start = search.points[0].alpha
    name = search.criterion.replace("_", " ")
    departures = [abs(point.alpha - start) for point in search.points]
    chosen = f"chosen: α = {fmt.short(search.chosen)}"
    low, high = [point.low for point in search.points], [point.high for point in search.points]
    panel = Panel(
        (
            Line(departures, [point.value for point in search.points], "blue", name, "o", size=4),
            Band(departures, low, high, "blue", f"95 % of the difference from α = {fmt.short(start)}", 0.2),
            Rule(x=abs(search.chosen - start), color="orange", label=chosen, dash="-", width=5, opacity=0.3),
        ),
        x_label=_X_LABEL,
        y_label="criterion (lower is better)",
        alpha_from=start,
        legend="best",
    )
    label = f"The criterion {name}, without labels, against α on the calibration half; {chosen}"
    return Figure(label, ((panel,),), 7.0, 3.4)


def _series(
    search: AlphaSearch, value: Callable[[CurvePoint], float], marker: str, dash: str, color: Color, label: str
) -> tuple[Mark, ...]:
    """Markers at the true evaluations, and a line along the curve, or through the markers where there is none."""
    true = _departures(search, search.points), [value(point) for point in search.points]
    if not search.curve:
        return (Line(*true, color, label, marker, dash, 1.5, 4),)
    curve = _departures(search, search.curve), [value(point) for point in search.curve]
    return Line(*curve, color, label, "", dash, 1.5), Line(*true, color, "", marker, "", size=4)


def _band(
    search: AlphaSearch, band: Callable[[CurvePoint], tuple[float, float] | None], scale: float, color: Color
) -> tuple[Mark, ...]:
    """The band, where the points have one."""
    shown = [(point, found) for point in search.curve or search.points if (found := band(point)) is not None]
    if not shown:
        return ()
    low, high = ([scale * found[side] for _, found in shown] for side in (0, 1))
    label = f"95 % of the difference from α = {fmt.short(search.points[0].alpha)}"
    return (Band(_departures(search, [point for point, _ in shown]), low, high, color, label, 0.2),)


def _departures(search: AlphaSearch, points: Sequence[CurvePoint]) -> list[float]:
    """How far α is from that of the network as trained, at each of ``points``."""
    return [abs(point.alpha - search.points[0].alpha) for point in points]


def _mark(marker: str, departure: float, departures: list[float], values: list[float], label: str) -> Line:
    """A hollow marker on the curve at ``departure``."""
    height = _height(departure, departures, values)
    return Line([departure], [height], "purple", label, marker, "", size=13, hollow=True)


def _height(departure: float, departures: list[float], values: list[float]) -> float:
    """The height at ``departure`` of the line through the points, level beyond its ends."""
    points = list(zip(departures, values, strict=True))
    for (left, low), (right, high) in pairwise(points):
        if departure < right:
            return low + (high - low) * max(0.0, departure - left) / (right - left)
    return values[-1]
