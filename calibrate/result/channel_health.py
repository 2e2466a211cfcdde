"""Channel health: which channels of a normalisation layer carry nothing, and which too much."""

from typing import Final, Literal

from calibrate.result.probed import Probed
from calibrate.values import Value

#: Normalised values further from 0 than this are far out; of a normal distribution, 2 in a thousand million are.
FAR_OUT: Final = 6.0
#: A channel is exploding where a larger share of its values is far out. Where mean and variance fit the data, it is at
#: most 1/36, whatever their distribution.
EXPLODING_SHARE: Final = 1e-3
#: A channel whose |γ| lies below this puts out next to nothing but β, and is called pruned.
PRUNED_GAMMA: Final = 1e-3
#: Where the bins of the histograms of |γ − 1| and |β| begin; each ends where the next begins, the last nowhere.
DRIFT_BINS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 3.0, 5.0)


class GradientFactor(Value):
    """|γ|/√(rv + eps) over the channels of a layer, with which the gradient is multiplied on its way back."""

    lowest: float
    median: float
    mean: float
    highest: float


class LayerHealth(Value):
    """One layer; all but ``far_out`` and ``furthest`` count its channels.

    ``dead``: running variance below ``DEAD_VARIANCE``. ``silent``: variance of the inputs on these data below it.
    ``pruned``: |γ| below ``PRUNED_GAMMA``. ``exploding``: more than ``EXPLODING_SHARE`` of the values normalised in
    inference are further from 0 than ``FAR_OUT``; ``far_out`` is that share over all channels, and ``furthest`` the
    largest absolute value, None where one is infinite or no number. ``gamma_drift`` and ``beta_drift`` are histograms
    of |γ − 1| and |β| in ``DRIFT_BINS``, None for a layer that has no γ or no β, as is ``pruned``.
    """

    name: str
    channels: int
    dead: int
    silent: int
    pruned: int | None
    exploding: int
    far_out: float
    furthest: float | None
    gamma_drift: tuple[int, ...] | None
    beta_drift: tuple[int, ...] | None
    gradient_factor: GradientFactor | None


class ChannelHealth(Probed):
    """The health of each layer, in the order of the calls; ``left_out`` are matching layers that were not looked at."""

    kind: Literal["channel_health"] = "channel_health"
    layers: tuple[LayerHealth, ...]
    left_out: tuple[str, ...]
