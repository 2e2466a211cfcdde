"""Probes: what was looked at, and what showed."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.result.value import Value


class _Probed(Value):
    """``tuned`` says that the network was no longer as it came; ``images`` is what was looked at."""

    tuned: bool
    images: int


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


class EstimationShift(_Probed):
    """The shift of each layer, in the order of the calls.

    ``correlation_with_depth`` is Spearman's, of ``deviation_in_deviations`` with the place of the layer; None with
    fewer than three layers.
    """

    kind: Literal["estimation_shift"] = "estimation_shift"
    layers: tuple[LayerShift, ...]
    correlation_with_depth: float | None


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


class StatisticNoise(_Probed):
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


class NotApplicable(_Probed):
    """The ``probe`` has nothing to look at here, for the ``reason`` given."""

    kind: Literal["not_applicable"] = "not_applicable"
    probe: str
    reason: str


ProbeResult = Annotated[EstimationShift | StatisticNoise | NotApplicable, Field(discriminator="kind")]
