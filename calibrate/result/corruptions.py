"""Scores on C-style corruptions of the same images."""

from typing import Literal

from calibrate.recipe import Corruption
from calibrate.result.answers import TunedArm
from calibrate.result.probed import Probed
from calibrate.values import Estimate, Value


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


class Corruptions(Probed):
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
