"""Figures as plain values: what is drawn, and not how. Only a page in HTML draws them.

Coordinates are numbers of the data; nan is a gap in a line. Colors are names of ``report.draw``'s palette.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal

Color = Literal["blue", "orange", "green", "purple", "yellow", "sky", "grey", "black"]
Numbers = Sequence[float]


@dataclass(frozen=True, slots=True)
class Line:
    """Points, joined where ``dash`` is not empty; markers and dashes are matplotlib's. ``hollow`` makes a mark."""

    x: Numbers
    y: Numbers
    color: Color
    label: str = ""
    marker: str = ""
    dash: str = "-"
    width: float = 1.2
    size: float = 3
    hollow: bool = False
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The area between ``low`` and ``high``."""

    x: Numbers
    low: Numbers
    high: Numbers
    color: Color
    label: str = ""
    opacity: float = 0.15


@dataclass(frozen=True, slots=True)
class ErrorBars:
    """Points with ``spread`` above and below, joined where ``joined``."""

    x: Numbers
    y: Numbers
    spread: Numbers
    color: Color
    label: str = ""
    joined: bool = True
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars from 0 to ``height``, each ``width`` wide from ``left`` on."""

    left: Numbers
    height: Numbers
    width: Numbers
    color: Color
    label: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """A height for each interval between two ``edges``, filled or as an outline."""

    heights: Numbers
    edges: Numbers
    color: Color
    label: str = ""
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line through the whole panel, at ``x`` or at ``y``."""

    x: float | None = None
    y: float | None = None
    color: Color = "grey"
    label: str = ""
    dash: str = "--"
    width: float = 1
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Cells:
    """A table of colored cells with their numbers; rows from the top on. ``colors`` is a colormap of matplotlib."""

    rows: Sequence[Numbers]
    colors: str
    low: float
    high: float
    number: str


@dataclass(frozen=True, slots=True)
class Raster:
    """A picture of numbers, each of ``columns`` from the bottom up, over x from ``left`` to ``right``."""

    columns: Sequence[Numbers]
    left: float
    right: float
    bottom: float
    top: float


Mark = Line | Band | ErrorBars | Bars | Steps | Rule | Cells | Raster


@dataclass(frozen=True, slots=True)
class Panel:
    """Marks over two axes.

    ``alpha_from`` makes x the distance of α from there: linear up to the nearest α tried, logarithmic beyond. A panel
    cut ``above`` or ``below`` a height, which far worse points would flatten, says so. ``legend`` is where it stands.
    """

    marks: tuple[Mark, ...]
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    y_log: bool = False
    x_whole: bool = False
    y_whole: bool = False
    y_scientific: bool = False
    x_from: float | None = None
    y_from: float | None = None
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_names: tuple[tuple[float, str], ...] = ()
    y_names: tuple[tuple[float, str], ...] = ()
    strong: str = ""
    alpha_from: float | None = None
    cut_above: tuple[float, str] | None = None
    cut_below: tuple[float, str] | None = None
    narrow: bool = False
    legend: Literal["", "best", "upper left", "outside right", "outside below"] = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """Rows of panels, ``width`` × ``height`` inches in all; ``label`` is what a screen reader says."""

    label: str
    rows: tuple[tuple[Panel, ...], ...]
    width: float
    height: float
    row_heights: tuple[float, ...] = ()
    share_x: bool = False
    share_y: bool = False


def or_gap(value: float | None) -> float:
    """The number, or a gap in a line."""
    return nan if value is None else value
