"""The table of the steps that a recipe can have, but for ``auto``, which holds steps itself.

The recipe's schema, the catalogue of methods and the permitted steps of jobs are read off it.
"""

from calibrate.steps.adapt import Adapt
from calibrate.steps.adaptation import ProbeAdaptation
from calibrate.steps.channel_health import ProbeChannelHealth
from calibrate.steps.corruptions import ProbeCorruptions
from calibrate.steps.estimation_shift import ProbeEstimationShift
from calibrate.steps.field_shift import ProbeFieldShift
from calibrate.steps.input_fit import ProbeInputFit
from calibrate.steps.label_free_alpha import LabelFreeAlpha
from calibrate.steps.learn_alpha import LearnAlpha
from calibrate.steps.measure import Measure
from calibrate.steps.output_bound import ProbeOutputBound
from calibrate.steps.reestimate import Reestimate
from calibrate.steps.search_alpha import SearchAlpha
from calibrate.steps.search_statistics import SearchStatistics
from calibrate.steps.set_alpha import SetAlpha
from calibrate.steps.statistic_noise import ProbeStatisticNoise
from calibrate.steps.step import StepValue
from calibrate.steps.temperature import Temperature
from calibrate.steps.tune_affine import TuneAffine

STEPS: tuple[type[StepValue], ...] = (
    SetAlpha,
    SearchAlpha,
    LearnAlpha,
    TuneAffine,
    LabelFreeAlpha,
    Reestimate,
    SearchStatistics,
    Temperature,
    Measure,
    ProbeInputFit,
    ProbeEstimationShift,
    ProbeFieldShift,
    ProbeStatisticNoise,
    ProbeOutputBound,
    ProbeChannelHealth,
    ProbeCorruptions,
    ProbeAdaptation,
    Adapt,
)
