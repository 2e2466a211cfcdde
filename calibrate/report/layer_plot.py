"""The figure of the normalisation layers over the network's depth, as inline SVG."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import DEAD_VARIANCE, LayerStatistics

_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"

#: Lower variances are drawn here: a logarithmic axis has no 0.
FLOOR = 1e-12


def layers_over_depth(layers: tuple[LayerStatistics, ...]) -> str:
    """Running variance (median, and the band from lowest to highest) and drift of γ and β, layer after layer."""
    depth = np.arange(1, len(layers) + 1)
    low, middle, high = (
        np.maximum(_column(values), FLOOR)
        for values in (
            [layer.variance_min for layer in layers],
            [layer.variance_median for layer in layers],
            [layer.variance_max for layer in layers],
        )
    )
    with drawing_style():
        figure = Figure(figsize=(7.0, 5.0), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.fill_between(depth, low, high, color=_BLUE, alpha=0.15, lw=0, label="lowest to highest channel")
        above.plot(depth, middle, "o-", color=_BLUE, ms=3, label="median channel")
        if (low < DEAD_VARIANCE).any():
            above.axhline(DEAD_VARIANCE, color=_GREY, ls="--", lw=1, label="dead below")
        above.set_yscale("log")
        above.set_ylabel("running variance")
        drifts = (
            ("|γ − 1|", "s-", _ORANGE, [layer.gamma_drift for layer in layers]),
            ("|β|", "^-", _GREEN, [layer.beta_drift for layer in layers]),
            ("|mean| / σ", "o--", _GREY, [layer.mean_offset for layer in layers]),
        )
        for label, style, colour, values in drifts:
            below.plot(depth, _column(values), style, color=colour, ms=3, lw=1.2, label=label)
        below.set_ylim(bottom=0)
        below.set_ylabel("mean over channels")
        below.set_xlabel("normalisation layer, in the order of the network's definition")
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for axes in (above, below):
            axes.margins(x=0.02)
            axes.legend(fontsize=10)
        label = f"Running variance, offset of the mean and drift of γ and β of {len(layers)} normalisation layers"
        return inline_svg(figure, "layers", label)


def _column(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])
