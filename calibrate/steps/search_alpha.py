"""The step ``search_alpha``: one α for all matching layers, chosen by labels."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Color, Figure, Line, Mark, Panel, Rule
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.steps.set_alpha import SetAlpha
from calibrate.steps.step import Sites, StepResult, StepValue
from calibrate.values import NUMBER, Value


class CurvePoint(Value):
    """The calibration half at one α: accuracy, cross-entropy before and after the best temperature.

    A band is the 95 % interval of the paired difference from the search's first point, added to the value there.
    """

    alpha: float
    temperature: float
    nll: float
    nll_after_temperature: float
    top1: float
    nll_band: tuple[float, float] | None = None
    top1_band: tuple[float, float] | None = None


class AlphaSearch(StepResult):
    """What the search for α measured, and what it chose.

    The first point is the network as trained, at α = 0 for BatchNorm and 1 for GroupNorm; the others depart from it
    further and further, in ``curve`` too. ``points`` were truly evaluated on the whole calibration half, the optima and
    the chosen α among them. ``curve`` is read off logits interpolated over α; it is empty where ``curve_error``, the
    largest difference in cross-entropy from true evaluations, was too large. Passes are forward passes over the
    calibration half, parts by their share.
    """

    kind: Literal["search_alpha"] = "search_alpha"
    points: tuple[CurvePoint, ...]
    chosen: float
    best_by_nll: float
    best_by_top1: float
    standard_error: float
    reason: str
    passes: float
    curve: tuple[CurvePoint, ...] = ()
    curve_passes: float = 0.0
    curve_error: float | None = None

    def sections(self) -> tuple[Section, ...]:
        """What was chosen and why, and what was measured at each α."""
        rows = tuple(_row(self, point) for point in self.points)
        figure = _figure(self) if self.points else None
        return (Section("Search for α", (_shows(self), *_how(self)), Table(COLUMNS, rows) if rows else None, figure),)


class SearchAlpha(StepValue):
    """Weigh each example in its own statistics, by the best α.

    Choose one α for the matching sites on the calibration half, jointly with the temperature.

    The chosen α has the lowest cross-entropy after its own best temperature. It must beat α = 0 by more than
    ``margin`` paired standard errors, else α = 0 stays: a free network is not traded for noise. Where the sites are
    GroupNorm layers, for which α = 1 changes nothing, the search goes down from there to 1 − ``maximum``.

    With logits(α) those of the calibration half where the matching layers weigh examples by α as in set_alpha; for
    GroupNorm layers 1 − maximum ≤ α ≤ 1::

        α = argmin over 0 ≤ α ≤ maximum of min over T > 0 of the mean of −log softmax(logits(α)/T)[label]

    *Changes nothing when* no α beats 0 by more than ``margin`` standard errors; for GroupNorm layers, no α beats 1.

    *Helps when* the network was trained with small batches, or meets data that differ from its training data.

    *Does not help when* the running statistics fit the data; then a temperature alone does as well.

    Cost: at most 5 passes over the calibration half, 8 more with ``curve``, and one more for GroupNorm layers; in
    inference that of set_alpha.

    Limits: needs labels. One α for all matching layers; where the gain is within its noise, α stays 0 and the network
    is unchanged. A network with α > 0 folds only a part of its normalisation into the convolutions.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1
    """

    tunes = True
    weighs_examples = True
    result = AlphaSearch

    kind: Literal["search_alpha"] = "search_alpha"
    maximum: Annotated[float, Field(gt=0, le=1, description="largest α tried; for GroupNorm, 1 − α"), NUMBER] = 0.5
    refinements: Annotated[int, Field(ge=0, le=20, description="α's tried at a parabola's minimum"), NUMBER] = 2
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which α must beat 0"), NUMBER] = 1.0
    curve: Annotated[bool, Field(description="also draw the dense curve over α, for 8 more passes")] = True
    sites: Sites = ("*",)

    def at_alpha(self, alpha: float) -> SetAlpha:
        """The step that gives the same sites this α."""
        return SetAlpha(alpha=alpha, sites=self.sites)


COLUMNS = ("NLL", "NLL after T", "T", "top-1 %")
X_LABEL = "α, the weight of an example in its own statistics"


def _shows(search: AlphaSearch) -> str:
    return f"Chose α = {fmt.short(search.chosen)}: {fmt.printable(search.reason).rstrip('.')}."


def _how(search: AlphaSearch) -> tuple[str, ...]:
    passes = fmt.counted_roughly(search.passes, "pass", "passes")
    return (
        f"On the calibration half ({passes}{_curve_words(search)}): lowest NLL after T at "
        f"{fmt.short(search.best_by_nll)}, best top-1 at {fmt.short(search.best_by_top1)}.",
    )


def _curve_words(search: AlphaSearch) -> str:
    """What the curve cost, and how well it is interpolated."""
    if search.curve_error is None:
        return ""
    cost = f", and {fmt.short(search.curve_passes)} for the curve"
    off = f"up to {search.curve_error:.2g} nats off where it was checked"
    if search.curve:
        return f"{cost}, whose interpolation was {off}"
    return f"{cost}, of which only true evaluations are shown: interpolated, it was {off}"


def _row(search: AlphaSearch, point: CurvePoint) -> Row:
    cells = (
        fmt.score("nll", point.nll),
        fmt.score("nll", point.nll_after_temperature),
        fmt.short(point.temperature),
        fmt.score("top1", point.top1),
    )
    note = "chosen" if point.alpha == search.chosen else ""
    return Row(f"α = {fmt.short(point.alpha)}", note, tuple(map(Cell, cells)))


def _figure(search: AlphaSearch) -> Figure:
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
        x_label=X_LABEL,
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
