"""The estimation shift: how far running statistics are from those of the data, layer by layer."""

from typing import Literal

from calibrate.result.probed import Probed
from calibrate.values import Value


class LayerShift(Value):
    """How far one layer's running mean rm and variance rv are from the mean m and biased variance v of its inputs.

    ``mean`` is ‖rm − m‖₂ and ``deviation`` ‖√rv − √v‖₂, in the units of the activations. ``mean_in_deviations`` and
    ``deviation_in_deviations`` are the same with each channel over its √(v + eps), and over √C for C channels: their
    root mean square. ``..._by_chance`` estimates what so few examples make of these two where there is no shift; it is
    None for a single example.
    """

    name: str
    channels: int
    mean: float
    deviation: float
    mean_in_deviations: float
    deviation_in_deviations: float
    mean_by_chance: float | None
    deviation_by_chance: float | None


class InputShift(Value):
    """How far the network's input is from that on ``images`` training examples, channel by channel.

    ``mean`` is ‖m_train − m‖₂ and ``deviation`` ‖√v_train − √v‖₂, of means and biased variances (÷n).
    """

    images: int
    channels: int
    mean: float
    deviation: float


class EstimationShift(Probed):
    """The shift of each layer, in the order of the calls; ``input`` is layer 0, None without training data.

    ``correlation_with_depth`` is Spearman's, of ``deviation_in_deviations`` with the place of the layer; None with
    fewer than three layers.
    """

    kind: Literal["estimation_shift"] = "estimation_shift"
    input: InputShift | None = None
    layers: tuple[LayerShift, ...]
    correlation_with_depth: float | None
