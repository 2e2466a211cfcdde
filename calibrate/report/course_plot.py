"""The figure of a training's course, as inline SVG."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import FineTuned

_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"


def course(result: FineTuned) -> str:
    """Loss in training, NLL and top-1 of the validation split; phases stand apart, and the kept epoch is marked."""
    number = np.arange(1, len(result.epochs) + 1)
    nll = np.array([np.nan if epoch.nll is None else epoch.nll for epoch in result.epochs])
    top1 = np.array([np.nan if epoch.top1 is None else 100 * epoch.top1 for epoch in result.epochs])
    with drawing_style():
        figure = Figure(figsize=(7.0, 5.0), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(number, [epoch.loss for epoch in result.epochs], "s--", color=_GREY, ms=4, label="loss in training")
        above.set_ylabel("nats")
        below.set_ylabel("top-1 (%)")
        below.set_xlabel("epoch")
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if result.data.validation:
            above.plot(number, nll, "o-", color=_BLUE, ms=4, label="NLL, validation")
            below.plot(number, top1, "o-", color=_GREEN, ms=4, label="top-1, validation")
        for axes in (above, below):
            axes.axvline(result.best + 1, color=_ORANGE, lw=5, alpha=0.3, label="kept")
            for before, epoch in enumerate(result.epochs[1:], start=1):
                if epoch.phase != result.epochs[before - 1].phase:
                    axes.axvline(before + 0.5, color=_GREY, lw=1, ls=":")
            axes.legend(fontsize=10)
        label = f"Loss and validation scores of {len(result.epochs)} epochs; epoch {result.best + 1} was kept"
        return inline_svg(figure, "course", label)
