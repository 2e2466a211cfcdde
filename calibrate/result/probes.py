"""Probes: what was looked at, and what showed."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.recipe import Corruption
from calibrate.result.answers import TunedArm
from calibrate.result.channel_health import ChannelHealth
from calibrate.result.estimate import Estimate
from calibrate.result.output_bound import OutputBound
from calibrate.result.probed import Probed as _Probed
from calibrate.result.value import Value


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


class TopOneAndNll(Value):
    """The share of right answers, and the mean cross-entropy in nats after the temperature."""

    top1: float
    nll: float


class CorruptionScores(Value):
    """One ``corruption`` at one ``severity``: the scores of ``T``, and those of the tuned arm where there is one."""

    corruption: Corruption
    severity: int
    plain: TopOneAndNll
    tuned: TopOneAndNll | None


class CorruptionMean(Value):
    """Means over the severities of one ``corruption``, over all corruptions, or of the clean images.

    ``top1_change`` and ``nll_change`` are the tuned arm minus ``T`` on the same examples (paired bootstrap).
    """

    corruption: Corruption | Literal["all", "clean"]
    plain: TopOneAndNll
    tuned: TopOneAndNll | None
    top1_change: Estimate | None
    nll_change: Estimate | None


class Corruptions(_Probed):
    """The network as it came, and ``arm`` where the run has changed it, on C-style corruptions of the same images.

    Each has the ``temperature`` (as it came, tuned) fitted on the clean calibration half. ``means`` are those of the
    clean images first, of each corruption, and of all corruptions last.
    """

    kind: Literal["corruptions"] = "corruptions"
    arm: TunedArm | None
    temperatures: tuple[float, ...]
    resamples: int
    scores: tuple[CorruptionScores, ...]
    means: tuple[CorruptionMean, ...]


class NotApplicable(_Probed):
    """The ``probe`` has nothing to look at here, for the ``reason`` given."""

    kind: Literal["not_applicable"] = "not_applicable"
    probe: str
    reason: str


ProbeResult = Annotated[
    EstimationShift | OutputBound | ChannelHealth | Corruptions | NotApplicable, Field(discriminator="kind")
]
