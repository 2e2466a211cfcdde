"""The figure of top-1 along a stream, as inline SVG."""

from html import escape

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from calibrate.report.svg import drawing_style, inline_svg
from calibrate.result import StreamScores

#: Okabe and Ito's palette, and dashes from where it begins anew.
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")


def top1_along_the_stream(scores: StreamScores, place: str) -> str:
    """Top-1 of each method over equal parts of the stream, in its order."""
    with drawing_style():
        figure = Figure(figsize=(7.0, 3.8), layout="constrained")
        axes = figure.subplots()
        for number, item in enumerate(scores.methods):
            label = "no adaptation" if item.method is None else item.method.kind
            axes.plot(
                range(1, len(item.segments) + 1),
                [100 * top1 for top1 in item.segments],
                "o-" if number < len(_COLOURS) else "s--",
                color=_COLOURS[number % len(_COLOURS)],
                ms=3,
                lw=2 if item.method is None else 1.2,
                label=label,
            )
        axes.set_ylabel("top-1 (%)")
        axes.set_xlabel("part of the stream")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(fontsize=9, ncols=2)
        read_out = f"Top-1 of {len(scores.methods)} methods along the stream {scores.stream.title}"
        return inline_svg(figure, f"probe-{place}", escape(read_out))
