"""What becomes of a network whose running statistics are disturbed at random."""

from typing import Literal

from calibrate.result.probed import Probed
from calibrate.values import Value


class NoiseLevel(Value):
    """Top-1 and mean cross-entropy (nats) over the draws of noise of one magnitude Δ: mean and standard deviation.

    ``broken`` counts the draws that left an example without finite logits. Such an example is answered wrong, and where
    there is one the cross-entropy is None.
    """

    delta: float
    top1: float
    top1_sd: float
    nll: float | None
    nll_sd: float | None
    broken: int


class NoiseCurve(Value):
    """What becomes of the network, Δ by Δ, where the statistics of the ``sites`` are disturbed all at once."""

    sites: tuple[str, ...]
    levels: tuple[NoiseLevel, ...]


class StatisticNoise(Probed):
    """Top-1 and cross-entropy of the raw logits, undisturbed and with random relative noise in running statistics.

    One curve, or one for each layer by itself. ``chosen`` says how the layers were: ``first_of_blocks`` is the first of
    each of the first residual blocks, ``first_layers`` the first layers where no such block holds any.
    """

    kind: Literal["statistic_noise"] = "statistic_noise"
    chosen: Literal["first_of_blocks", "first_layers", "all"]
    granularity: Literal["channel", "layer"]
    repetitions: int
    top1: float
    nll: float
    curves: tuple[NoiseCurve, ...]
