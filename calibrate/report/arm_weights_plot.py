"""The figure of what tells the weights of arms from the baseline's, as inline SVG.

Reference: Adrian G, Batch Norm and Transfer Learning, 2019, Figs. 5, 8 and 9.
"""

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from calibrate.page import format as fmt
from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import ArmResult, ComparedArms

_ORANGE, _BLUE, _GREY = "#d55e00", "#0072b2", "#8a8a8a"


def arm_weights(result: ComparedArms) -> str:
    """For each arm, layer by layer: counts minus the baseline's, and the steps of both variances beneath."""
    arms = [arm for arm in result.arms if arm.layers]
    with drawing_style():
        figure = Figure(figsize=(8.0, 4.2 * len(arms)), layout="constrained")
        for part, arm in zip(figure.subfigures(len(arms), 1, squeeze=False).flat, arms, strict=True):
            part.suptitle(f"{arm.name} − {result.baseline}")
            _draw(part, arm, result.baseline)
        names = ", ".join(arm.name for arm in arms)
        label = (
            f"Histograms of the weights of {names} minus those of {result.baseline}, and the steps of their variance"
        )
        return inline_svg(figure, "arm-weights", label)


def _draw(figure: SubFigure, arm: ArmResult, baseline: str) -> None:
    panels = figure.subplots(2, len(arm.layers), squeeze=False, height_ratios=(3, 2))
    for (above, below), layer in zip(panels.T, arm.layers, strict=True):
        above.stairs(layer.counts, np.linspace(layer.low, layer.high, len(layer.counts) + 1), fill=True, color=_BLUE)
        above.set_title(fmt.printable(layer.name))
        above.set_xlabel("weight")
        above.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for name, variances, colour in (
            (baseline, layer.baseline_variances, _GREY),
            (arm.name, layer.variances, _ORANGE),
        ):
            below.stairs(np.diff(variances), np.arange(len(variances)) + 0.5, baseline=None, color=colour, label=name)
        below.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        below.set_xlabel(arm.recipe.histograms)
    panels[0, 0].set_ylabel("Δ count")
    panels[1, 0].set_ylabel("Δ variance")
    figure.legend(*panels[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
