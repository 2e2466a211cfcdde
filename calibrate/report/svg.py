"""Matplotlib figures as inline SVG: deterministic, small, and free to share a page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

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


@contextmanager
def drawing_style() -> Iterator[None]:
    """Matplotlib's defaults and the report's style, whatever the caller has set; the caller's settings come back."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """``figure`` as an ``<svg>`` element read out as ``label``, all its ids beginning with ``name``."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=_NO_METADATA)
    _, _, rest = written.getvalue().partition("<svg ")
    rest = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", rest)
    return f'<svg role="img" aria-label="{escape(label)}" {rest.strip()}'
