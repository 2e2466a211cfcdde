"""What the search for α without labels measured, and what it chose."""

from typing import Literal

from calibrate.values import Value


class LabelFreePoint(Value):
    """The criterion at one α; lower is better.

    ``low`` and ``high`` are the 95 % interval of the paired difference from the search's first point, added to the
    value there: where they leave that value out, α made a difference.
    """

    alpha: float
    value: float
    low: float
    high: float


class LabelFreeSearch(Value):
    """The choice of one α by ``criterion``, on ``n`` examples of the calibration half, without their labels.

    The first point is the network as trained, at α = 0 for BatchNorm and 1 for GroupNorm; the others depart from it
    further and further. ``best`` is where the criterion is lowest, by ``gain`` from the first point, with a
    ``standard_error``; ``chosen`` is ``best``, or the first point's α, as ``reason`` says. Passes are forward passes
    over the calibration half, parts by their share.
    """

    criterion: Literal["entropy", "agreement", "estimation_shift"]
    points: tuple[LabelFreePoint, ...]
    chosen: float
    best: float
    gain: float
    standard_error: float
    reason: str
    n: int
    passes: float
