"""The axis of α that figures share."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from calibrate.page import format as fmt


def alpha_axis(axes: Axes, departures: np.ndarray, plain: float) -> None:
    """A scale of α that opens up what is near ``plain``: linear up to the nearest α tried, logarithmic beyond."""
    positive = departures[departures > 0]
    smallest, largest = (float(positive.min()), float(positive.max())) if positive.size else (0.01, 0.01)
    axes.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    axes.set_xlim(-smallest / 3, largest * 1.15)
    decades = range(int(np.floor(np.log10(smallest))), int(np.ceil(np.log10(largest))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in ((1, 2, 5) if len(decades) < 5 else (1,))]
    axes.xaxis.set_major_locator(FixedLocator([0.0, *(tick for tick in ticks if smallest <= tick <= largest * 1.01)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.short(abs(plain - value))))
    axes.xaxis.set_minor_locator(NullLocator())
