"""The figures of the experiment: means over the seeds, with a standard deviation to each side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tests.benchmarks.estimation_shift.experiments import MEASURED, NOISE, Course, Subsets
from tests.benchmarks.estimation_shift.measures import Values
from tests.benchmarks.estimation_shift.networks import DEPTH

#: Okabe and Ito's palette, and a marker for each network, to be told apart also without colour.
STYLES = (("#d55e00", "o"), ("#0072b2", "s"), ("#009e73", "^"), ("#8a8a8a", "v"), ("#cc79a7", "D"))


def error_gap(courses: Mapping[str, Course]) -> Figure:
    """Setup one: errors in both modes, and their difference, by iteration."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    errors, gaps = figure.subplots(1, 2)
    for (kind, course), style in zip(courses.items(), STYLES, strict=False):
        line(errors, MEASURED, course.evaluation, style[0], f"{kind}, evaluation mode")
        line(errors, MEASURED, course.training, style[0], f"{kind}, training mode", "--")
        line(gaps, MEASURED, course.evaluation - course.training, style[0], kind)
    label(errors, "S = S′: error", "iteration", "error (%)")
    label(gaps, "S = S′: error in evaluation − training mode", "iteration", "points")
    return figure


def shift_over_iterations(courses: Mapping[str, Course]) -> Figure:
    """Setup one: ESM_σ and ESM_μ of each BN by iteration, means of the seeds."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, len(courses), sharex=True, sharey="row")
    depths = Normalize(1, DEPTH)
    colours = matplotlib.colormaps["viridis"]
    for column, (kind, course) in enumerate(courses.items()):
        for row, symbol in enumerate(("σ", "μ")):
            axes: Axes = panels[row, column]
            shift = course.shift[:, :, row].mean(0)
            for depth in np.flatnonzero(~np.isnan(shift[0])):
                axes.plot(MEASURED, shift[:, depth], color=colours(depths(depth + 1)), lw=1.3)
            axes.set_ylabel(f"ESM$_{symbol}$" if column == 0 else "")
            axes.set_xlabel("iteration" if row else "")
            axes.set_title("" if row else f"S = S′, {kind}")
            axes.grid(color="#e4e4e4")
    for axes in panels[:, 0]:
        axes.set_ylim(bottom=0)
    figure.colorbar(ScalarMappable(depths, colours), ax=panels, label="layer", ticks=[1, 5, 10, 15, 20])
    return figure


def shift_by_depth(found: Mapping[str, Subsets], sizes: Sequence[int]) -> Figure:
    """Setup two: ESM_σ of each BN at the end of training, by layer; layer 0 is the shift of the input."""
    kinds = [kind for kind in found if not kind.startswith("original")]
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, len(kinds), sharey=True)
    for axes, kind in zip(panels, kinds, strict=True):
        shift = found[kind].shift
        present = np.flatnonzero(~np.isnan(shift[0, 0]))
        for at, size in enumerate(sizes):
            line(axes, present, shift[:, at, present], STYLES[at][0], f"N = {size}", marker=".")
        label(axes, kind, "layer (0: the input)", "ESM$_σ$ at iteration 80" if axes is panels[0] else "")
        axes.set_yscale("log")
        axes.set_xticks(range(0, DEPTH + 1, 4))
    return figure


def error_by_size(found: Mapping[str, Subsets], sizes: Sequence[int]) -> Figure:
    """Setup two: final error on all of S′, and on the images that are not in S."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for (kind, subsets), (colour, marker) in zip(found.items(), STYLES, strict=False):
        line(panels[0], sizes, subsets.test, colour, kind, marker=marker)
        line(panels[1], sizes, subsets.unseen, colour, kind, marker=marker)
    label(panels[0], "all of S′", "images trained on", "error (%)")
    label(panels[1], "the images of S′ not trained on", "images trained on", "")
    for axes in panels:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
    return figure


def noise_sweep(errors: Mapping[str, Values]) -> Figure:
    """The error on S′ by the magnitude of the noise on the running statistics."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, values), (colour, marker) in zip(errors.items(), STYLES, strict=False):
        line(axes, NOISE, values, colour, name, marker=marker)
    label(axes, "noise on the running statistics", "Δ", "error on S′ (%)")
    return figure


def line(
    axes: Axes,
    x: Sequence[float] | NDArray[np.int64],
    y: Values,
    colour: str,
    name: str,
    style: str = "-",
    marker: str = "",
) -> None:
    """The mean of ``y`` (seeds, x), and a band of a standard deviation to each side."""
    mean, spread = y.mean(0), y.std(0, ddof=1)
    axes.plot(x, mean, style, color=colour, label=name, lw=1.6, marker=marker, ms=5)
    axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Title, names of the axes, grid and legend."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="#e4e4e4")
    axes.legend(frameon=False, fontsize=9)


def save(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure to ``folder`` as a PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=140)
