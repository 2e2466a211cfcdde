"""Drawing a figure with matplotlib, as inline SVG: deterministic, small, and free to share a page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib import figure as canvas
from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Bars, Cells, ErrorBars, Figure, Line, Panel, Raster, Rule, Steps

#: Okabe and Ito's palette, told apart also without red or green.
PALETTE = {
    "blue": "#0072b2",
    "orange": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "yellow": "#e69f00",
    "sky": "#56b4e9",
    "grey": "#8a8a8a",
    "black": "black",
}
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "afternorm",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "axes.unicode_minus": False,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def svg(figure: Figure, name: str) -> str:
    """``figure`` as an ``<svg>`` element read out as its label, all its ids beginning with ``name``."""
    with drawing_style():
        drawn = canvas.Figure(figsize=(figure.width, figure.height), layout="constrained")
        columns: dict[int, Axes] = {}
        for place, (row, cells) in enumerate(zip(figure.rows, _places(drawn, figure), strict=True)):
            first: Axes | None = None
            for column, panel in enumerate(row):
                above = columns.get(column) if figure.share_x else None
                axes = drawn.add_subplot(cells[column], sharex=above, sharey=first if figure.share_y else None)
                first = first or axes
                columns.setdefault(column, axes)
                if figure.share_x and place < len(figure.rows) - 1:
                    axes.tick_params(labelbottom=False)
                if figure.share_y and column:
                    axes.tick_params(labelleft=False)
                _draw(axes, panel)
                if panel.legend.startswith("outside"):
                    below = panel.legend == "outside below"
                    drawn.legend(
                        *axes.get_legend_handles_labels(),
                        loc="outside lower center" if below else "outside right upper",
                        ncols=2 if below else 1,
                        fontsize=10,
                    )
        return _inline(drawn, name, figure.label)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Matplotlib's defaults and the report's style, whatever the caller has set; the caller's settings come back."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def _places(drawn: canvas.Figure, figure: Figure) -> list[list[SubplotSpec]]:
    """Where each panel stands: in one grid, so that columns align, or in a grid for each row where rows differ."""
    widths, ratios = [len(row) for row in figure.rows], figure.row_heights or None
    if len(set(widths)) == 1:
        grid = drawn.add_gridspec(len(widths), widths[0], height_ratios=ratios)
        return [[grid[place, column] for column in range(widths[0])] for place in range(len(widths))]
    outer = drawn.add_gridspec(len(widths), 1, height_ratios=ratios)
    inner = [outer[place].subgridspec(1, width) for place, width in enumerate(widths)]
    return [[grid[0, column] for column in range(width)] for grid, width in zip(inner, widths, strict=True)]


def _inline(drawn: canvas.Figure, name: str, label: str) -> str:
    written = io.StringIO()
    drawn.savefig(written, format="svg", metadata=_NO_METADATA)
    _, _, rest = written.getvalue().partition("<svg ")
    rest = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", rest)
    return f'<svg role="img" aria-label="{escape(label)}" {rest.strip()}'


def _draw(axes: Axes, panel: Panel) -> None:
    for mark in panel.marks:
        _mark(axes, mark)
    if panel.y_log:
        axes.set_yscale("log")
    if panel.narrow:
        axes.margins(x=0.02)
    if panel.alpha_from is not None:
        _alpha_axis(axes, panel, panel.alpha_from)
    if panel.x_whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if panel.y_whole:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.count(round(value))))
    if panel.y_scientific:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    if panel.x_from is not None:
        axes.set_xlim(left=panel.x_from)
    if panel.y_from is not None:
        axes.set_ylim(bottom=panel.y_from)
    if panel.x_limits:
        axes.set_xlim(*panel.x_limits)
    if panel.x_names:
        axes.set_xticks([at for at, _ in panel.x_names], [_escaped(name) for _, name in panel.x_names])
    if panel.y_names:
        axes.set_yticks([at for at, _ in panel.y_names], [_escaped(name) for _, name in panel.y_names])
        for text, (_, name) in zip(axes.get_yticklabels(), panel.y_names, strict=True):
            text.set_fontweight("bold" if panel.strong and name == panel.strong else "normal")
    if panel.y_limits:
        axes.set_ylim(*panel.y_limits)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_title(_escaped(panel.title))
    if panel.legend in ("best", "upper left"):
        axes.legend(loc=panel.legend, fontsize=10)
    _cut(axes, panel)


def _mark(axes: Axes, mark: Any) -> None:
    if isinstance(mark, Line):
        axes.plot(
            mark.x,
            mark.y,
            marker=mark.marker or None,
            ls=mark.dash or "none",
            color=PALETTE[mark.color],
            lw=mark.width,
            ms=mark.size,
            label=mark.label or None,
            mfc="none" if mark.hollow else PALETTE[mark.color],
            mew=2.2 if mark.hollow else 1.0,
            drawstyle="steps-mid" if mark.steps else "default",
        )
    elif isinstance(mark, Band):
        axes.fill_between(
            np.asarray(mark.x),
            np.asarray(mark.low),
            np.asarray(mark.high),
            color=PALETTE[mark.color],
            alpha=mark.opacity,
            lw=0,
            label=mark.label or None,
        )
    elif isinstance(mark, ErrorBars):
        axes.errorbar(
            np.asarray(mark.x),
            np.asarray(mark.y),
            np.asarray(mark.spread),
            fmt="o-" if mark.joined else "o",
            color=PALETTE[mark.color],
            alpha=mark.opacity,
            ms=4,
            lw=1.2,
            capsize=3,
            label=mark.label or None,
        )
    elif isinstance(mark, Bars):
        axes.bar(
            mark.left,
            mark.height,
            mark.width,
            align="edge",
            color=PALETTE[mark.color],
            edgecolor="white",
            label=mark.label or None,
        )
    elif isinstance(mark, Steps):
        axes.stairs(
            mark.heights,
            mark.edges,
            fill=mark.filled,
            baseline=0 if mark.filled else None,
            color=PALETTE[mark.color],
            label=mark.label or None,
        )
    elif isinstance(mark, Rule):
        draw, at = (axes.axhline, mark.y) if mark.x is None else (axes.axvline, mark.x)
        draw(
            at or 0.0,
            color=PALETTE[mark.color],
            ls=mark.dash,
            lw=mark.width,
            alpha=mark.opacity,
            label=mark.label or None,
        )
    elif isinstance(mark, Cells):
        _cells(axes, mark)
    else:
        _raster(axes, mark)


def _cells(axes: Axes, mark: Cells) -> None:
    """One cell for each value, in color and as a number."""
    values = np.array(mark.rows)
    axes.pcolormesh(values, cmap=mark.colors, vmin=mark.low, vmax=mark.high, edgecolors="white", linewidth=0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{value + 0.0:{mark.number}}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if abs(value) > 0.6 * mark.high else "black",
        )


def _raster(axes: Axes, mark: Raster) -> None:
    axes.imshow(
        np.array(mark.columns, dtype=float).T,
        origin="lower",
        aspect="auto",
        extent=(mark.left, mark.right, mark.bottom, mark.top),
        cmap="viridis",
        interpolation="none",
    )
    axes.grid(visible=False)


def _alpha_axis(axes: Axes, panel: Panel, start: float) -> None:
    """A scale of α that opens up what is near ``start``."""
    tried = np.array([x for mark in panel.marks if isinstance(mark, Line) for x in mark.x])
    positive = tried[tried > 0]
    smallest, largest = (float(positive.min()), float(positive.max())) if positive.size else (0.01, 0.01)
    axes.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    axes.set_xlim(-smallest / 3, largest * 1.15)
    decades = range(int(np.floor(np.log10(smallest))), int(np.ceil(np.log10(largest))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in ((1, 2, 5) if len(decades) < 5 else (1,))]
    axes.xaxis.set_major_locator(FixedLocator([0.0, *(tick for tick in ticks if smallest <= tick <= largest * 1.01)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.short(abs(start - value))))
    axes.xaxis.set_minor_locator(NullLocator())


def _cut(axes: Axes, panel: Panel) -> None:
    """Bring the differences that matter into view where far worse points would flatten them, and say so."""
    bottom, top = axes.get_ylim()
    if panel.cut_above and top > panel.cut_above[0]:
        axes.set_ylim(top=panel.cut_above[0])
        axes.set_title(panel.cut_above[1], loc="right", fontsize=10)
    if panel.cut_below and bottom < panel.cut_below[0]:
        axes.set_ylim(bottom=panel.cut_below[0])
        axes.set_title(panel.cut_below[1], loc="right", fontsize=10)


def _escaped(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return "\n".join(fmt.printable(line).replace("$", r"\$") for line in text.split("\n"))
