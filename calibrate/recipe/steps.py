"""The steps a recipe is made of: closed, frozen, tagged by ``kind``."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from calibrate.recipe.adaptation import Adapt, ProbeAdaptation
from calibrate.recipe.auto import Auto
from calibrate.recipe.label_free import LabelFreeAlpha
from calibrate.recipe.learning import LearnAlpha, TuneAffine
from calibrate.recipe.probes import (
    ProbeChannelHealth,
    ProbeCorruptions,
    ProbeEstimationShift,
    ProbeOutputBound,
    ProbeStatisticNoise,
)
from calibrate.recipe.step import StepValue
from calibrate.recipe.tuning import Reestimate, SearchAlpha, SetAlpha, Temperature
from calibrate.values import NUMBER


class Measure(StepValue):
    """Compare the network as it came with the network as it stands, on the holdout half."""

    kind: Literal["measure"] = "measure"
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000
    bins: Annotated[int, Field(ge=2, le=100, description="confidence bins of the calibration error"), NUMBER] = 15


Step = Annotated[
    SetAlpha
    | SearchAlpha
    | LearnAlpha
    | TuneAffine
    | LabelFreeAlpha
    | Reestimate
    | Temperature
    | Auto
    | Measure
    | ProbeEstimationShift
    | ProbeStatisticNoise
    | ProbeOutputBound
    | ProbeChannelHealth
    | ProbeCorruptions
    | ProbeAdaptation
    | Adapt,
    Field(discriminator="kind"),
]

#: The class of each kind of step.
STEP_KINDS: Mapping[str, type[StepValue]] = {
    step.model_fields["kind"].default: step for step in get_args(get_args(Step)[0])
}
