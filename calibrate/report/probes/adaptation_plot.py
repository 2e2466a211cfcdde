"""The figure of adaptation on a stream, as inline SVG."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import StreamScores

#: Okabe and Ito's colours, which all readers can tell apart, with markers for more methods than colours.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")
_MARKERS = "osD^vP"


def top1_over_segments(scores: StreamScores, labels: Sequence[str], place: str) -> str:
    """Top-1 in each part of the stream, a line for each method; dashed in black without adaptation."""
    with drawing_style():
        figure = Figure(figsize=(8.0, 3.8), layout="constrained")
        axes = figure.subplots()
        colours = cycle(_COLOURS)
        widths = np.linspace(4.0, 1.0, len(labels))  # of lines on one another, all show
        for number, (label, item) in enumerate(zip(labels, scores.methods, strict=True)):
            parts = range(1, len(item.segments) + 1)
            heights = [100 * top1 for top1 in item.segments]
            if item.method is None:
                axes.plot(parts, heights, "--", marker=".", color="black", lw=1.4, label=label, zorder=3)
            else:
                marker = _MARKERS[number % len(_MARKERS)]
                axes.plot(parts, heights, marker=marker, color=next(colours), ms=4, lw=widths[number], label=label)
        axes.set_ylabel("top-1 %")
        axes.set_xlabel("part of the stream, in order")
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=10)
        return inline_svg(
            figure,
            f"probe-{place}",
            f"Top-1 over the parts of a stream ({scores.stream.title}) of {len(labels) - 1} adaptation methods and "
            "without adaptation",
        )
