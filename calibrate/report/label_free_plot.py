"""The figure of a criterion that needs no labels against α, as inline SVG."""

import numpy as np
from matplotlib.figure import Figure

from calibrate.page import format as fmt
from calibrate.report.alpha_axis import alpha_axis
from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import LabelFreeSearch

_BLUE, _ORANGE = "#0072b2", "#d55e00"


def label_free_curve(search: LabelFreeSearch, place: int) -> str:
    """The criterion at each α that was tried, the band of its difference from the first, and the chosen α."""
    plain = search.points[0].alpha
    name = search.criterion.replace("_", " ")
    departures = np.array([abs(point.alpha - plain) for point in search.points])
    with drawing_style():
        figure = Figure(figsize=(7.0, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot(departures, [point.value for point in search.points], "o-", color=_BLUE, ms=4, label=name)
        low, high = ([getattr(point, side) for point in search.points] for side in ("low", "high"))
        band = f"95 % of the difference from α = {fmt.short(plain)}"
        axes.fill_between(departures, low, high, color=_BLUE, alpha=0.2, lw=0, label=band)
        chosen = f"chosen: α = {fmt.short(search.chosen)}"
        axes.axvline(abs(search.chosen - plain), color=_ORANGE, lw=5, alpha=0.3, label=chosen)
        axes.legend(fontsize=10)
        axes.set_ylabel("criterion (lower is better)")
        axes.set_xlabel("α, the weight of an example in its own statistics")
        alpha_axis(axes, departures, plain)
        label = f"The criterion {name}, without labels, against α on the calibration half; {chosen}"
        return inline_svg(figure, f"label-free-{place}", label)
