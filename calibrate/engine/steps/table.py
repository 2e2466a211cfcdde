"""The steps of a recipe, and the one table that says which function carries out which."""

from collections.abc import Callable, Mapping
from typing import Any

from calibrate.engine.run import Run
from calibrate.engine.steps.adapt import adapt_
from calibrate.engine.steps.adaptation import probe_adaptation_
from calibrate.engine.steps.auto import auto_
from calibrate.engine.steps.channel_health import probe_channel_health_
from calibrate.engine.steps.corruptions import probe_corruptions_
from calibrate.engine.steps.estimation_shift import probe_estimation_shift_
from calibrate.engine.steps.measure import measure_
from calibrate.engine.steps.output_bound import probe_output_bound_
from calibrate.engine.steps.statistic_noise import probe_statistic_noise_
from calibrate.engine.steps.tuning_table import TUNING_STEPS
from calibrate.recipe import (
    Adapt,
    Auto,
    Measure,
    ProbeAdaptation,
    ProbeChannelHealth,
    ProbeCorruptions,
    ProbeEstimationShift,
    ProbeOutputBound,
    ProbeStatisticNoise,
)

#: Which function carries out which step. A test holds this table equal to the union of the steps.
STEPS: Mapping[type, Callable[[Run, Any], None]] = {
    **TUNING_STEPS,
    Adapt: adapt_,
    Auto: auto_,
    Measure: measure_,
    ProbeEstimationShift: probe_estimation_shift_,
    ProbeCorruptions: probe_corruptions_,
    ProbeOutputBound: probe_output_bound_,
    ProbeChannelHealth: probe_channel_health_,
    ProbeStatisticNoise: probe_statistic_noise_,
    ProbeAdaptation: probe_adaptation_,
}
