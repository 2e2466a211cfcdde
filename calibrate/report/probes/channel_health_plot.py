"""The figure of channel health: gradient factor by depth, and histograms of |γ − 1| and |β|, as inline SVG."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import DRIFT_BINS, ChannelHealth, GradientFactor

_BLUE, _ORANGE, _GREEN = "#0072b2", "#d55e00", "#009e73"
#: Lower factors are drawn here: a logarithmic axis has no 0.
FLOOR = 1e-9


def health_over_depth(result: ChannelHealth, place: int) -> str:
    """|γ|/√(σ² + eps) of each layer, median and band over channels; |γ − 1| and |β| of all channels, in fixed bins."""
    with drawing_style():
        figure = Figure(figsize=(7.0, 5.6), layout="constrained")
        panels = figure.subplot_mosaic([["factor", "factor"], ["gamma", "beta"]])
        _draw_factors(panels["factor"], [layer.gradient_factor for layer in result.layers])
        _histogram(panels["gamma"], [layer.gamma_drift for layer in result.layers], _ORANGE, "|γ − 1|")
        _histogram(panels["beta"], [layer.beta_drift for layer in result.layers], _GREEN, "|β|")
        panels["gamma"].set_ylabel("channels")
        label = (
            f"Gradient factor of {len(result.layers)} normalisation layers over the depth of the network, and how far "
            "γ is from 1 and β from 0 over all their channels"
        )
        return inline_svg(figure, f"probe-{place}", label)


def _draw_factors(axes: Axes, factors: list[GradientFactor | None]) -> None:
    depth = np.arange(1, len(factors) + 1)
    low, middle, high = (
        np.array([np.nan if factor is None else max(getattr(factor, name), FLOOR) for factor in factors])
        for name in ("lowest", "median", "highest")
    )
    axes.fill_between(depth, low, high, color=_BLUE, alpha=0.15, lw=0, label="lowest to highest channel")
    axes.plot(depth, middle, "o-", color=_BLUE, ms=3, lw=1.2, label="median channel")
    axes.set_yscale("log")
    axes.margins(x=0.02)
    axes.set_ylabel("|γ|/√(σ² + eps)")
    axes.set_xlabel("normalisation layer, in the order of the calls")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(fontsize=10)


def _histogram(axes: Axes, layers: list[tuple[int, ...] | None], colour: str, label: str) -> None:
    """The channels of all layers in ``DRIFT_BINS``: a bar each, all as wide, every other named by where it begins."""
    counts = np.array([layer for layer in layers if layer is not None]).reshape(-1, len(DRIFT_BINS)).sum(0)
    places = np.arange(len(DRIFT_BINS))
    axes.bar(places, counts, 1.0, align="edge", color=colour, edgecolor="white")
    names = [f"{begin:g}" for begin in DRIFT_BINS]
    axes.set_xticks(places, [name if place % 2 == 0 else "" for place, name in enumerate(names)])
    axes.set_xlabel(f"{label}, from")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
