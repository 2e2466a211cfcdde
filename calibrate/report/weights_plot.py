"""The figure of the weights in training, as inline SVG: histograms over the records, and jumps of the variance.

Reference: Adrian G, Batch Norm and Transfer Learning, 2019, Figs. 1 to 5.
"""

import numpy as np
from matplotlib.figure import Figure

from calibrate.page import format as fmt
from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import FineTuned, LayerHistogram

#: How many layers are drawn, evenly over the depth: what there is to see must stay large enough to be seen.
SHOWN = 6


def weights(result: FineTuned) -> str:
    """For some layers, first to last: log(1 + count) by weight and record, and the variance's steps beneath."""
    layers = shown(result.histograms)
    with drawing_style():
        figure = Figure(figsize=(2.4 * len(layers), 5.0), layout="constrained")
        panels = figure.subplots(2, len(layers), sharex=True, squeeze=False, height_ratios=(2, 1))
        for (above, below), layer in zip(panels.T, layers, strict=True):
            counts = np.log1p(np.array(layer.counts, dtype=float).T)
            extent = (-0.5, len(layer.counts) - 0.5, layer.low, layer.high)
            above.imshow(counts, origin="lower", aspect="auto", extent=extent, cmap="viridis", interpolation="none")
            above.grid(visible=False)
            above.set_title(fmt.printable(layer.name))
            below.plot(range(1, len(layer.variances)), layer.variance_differences, color="#d55e00", lw=1)
            below.axhline(0, color="#8a8a8a", lw=0.8)
            below.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
            below.set_xlabel(result.recipe.histograms)
        panels[0, 0].set_ylabel("weight")
        panels[1, 0].set_ylabel("Δ variance")
        names = ", ".join(fmt.printable(layer.name) for layer in layers)
        return inline_svg(figure, "weights", f"Histograms of the weights over the training of {names}")


def shown(layers: tuple[LayerHistogram, ...]) -> tuple[LayerHistogram, ...]:
    """``SHOWN`` of the layers, the first and the last among them, or all where there are no more."""
    places = np.unique(np.linspace(0, len(layers) - 1, SHOWN).round().astype(int))
    return tuple(layers[place] for place in places)
