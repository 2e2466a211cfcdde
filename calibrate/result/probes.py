"""Probes: what was looked at, and what showed."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.result.adapted_scores import Adaptation
from calibrate.result.channel_health import ChannelHealth
from calibrate.result.corruptions import Corruptions
from calibrate.result.estimation_shift import EstimationShift
from calibrate.result.output_bound import OutputBound
from calibrate.result.probed import Probed
from calibrate.result.statistic_noise import StatisticNoise


class NotApplicable(Probed):
    """The ``probe`` has nothing to look at here, for the ``reason`` given."""

    kind: Literal["not_applicable"] = "not_applicable"
    probe: str
    reason: str


ProbeResult = Annotated[
    EstimationShift | StatisticNoise | OutputBound | ChannelHealth | Corruptions | Adaptation | NotApplicable,
    Field(discriminator="kind"),
]
