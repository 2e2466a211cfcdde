"""Layer statistics: what a normalisation layer of the tuned network has stored."""

from calibrate.values import Value


class LayerStatistics(Value):
    """One normalisation layer in numbers, over its C channels; None where it has no such thing, or it is not finite.

    ``positions`` is the fewest positions per channel it was seen with. ``mean_offset`` is mean |rm| / √(rv + eps) for
    running mean rm and running variance rv; ``dead`` is the share of channels with rv < ``DEAD_VARIANCE``. γ begins at
    1 and β at 0 in training: ``gamma_drift`` is mean |γ − 1| and ``beta_drift`` mean |β|. ``alpha`` is its mean.
    """

    name: str
    channels: int
    positions: int | None
    mean_offset: float | None
    variance_min: float | None
    variance_median: float | None
    variance_max: float | None
    dead: float | None
    gamma_mean: float | None
    gamma_drift: float | None
    beta_drift: float | None
    alpha: float | None
