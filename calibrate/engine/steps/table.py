"""The table of the handlers: which carries out which kind of step. A test holds it equal to the union of the steps."""

from calibrate.engine.handler import Handlers
from calibrate.engine.steps.adapt import AdaptHandler
from calibrate.engine.steps.adaptation import AdaptationHandler
from calibrate.engine.steps.auto import AutoHandler
from calibrate.engine.steps.channel_health import ChannelHealthHandler
from calibrate.engine.steps.corruptions import CorruptionsHandler
from calibrate.engine.steps.estimation_shift import EstimationShiftHandler
from calibrate.engine.steps.field_shift import FieldShiftHandler
from calibrate.engine.steps.input_fit import InputFitHandler
from calibrate.engine.steps.label_free_alpha import LabelFreeAlphaHandler
from calibrate.engine.steps.learn_alpha import LearnAlphaHandler
from calibrate.engine.steps.measure import MeasureHandler
from calibrate.engine.steps.output_bound import OutputBoundHandler
from calibrate.engine.steps.reestimate import ReestimateHandler
from calibrate.engine.steps.search_alpha import SearchAlphaHandler
from calibrate.engine.steps.search_statistics import SearchStatisticsHandler
from calibrate.engine.steps.set_alpha import SetAlphaHandler
from calibrate.engine.steps.statistic_noise import StatisticNoiseHandler
from calibrate.engine.steps.temperature import TemperatureHandler
from calibrate.engine.steps.tune_affine import TuneAffineHandler
from calibrate.steps import (
    Adapt,
    Auto,
    LabelFreeAlpha,
    LearnAlpha,
    Measure,
    ProbeAdaptation,
    ProbeChannelHealth,
    ProbeCorruptions,
    ProbeEstimationShift,
    ProbeFieldShift,
    ProbeInputFit,
    ProbeOutputBound,
    ProbeStatisticNoise,
    Reestimate,
    SearchAlpha,
    SearchStatistics,
    SetAlpha,
    Temperature,
    TuneAffine,
)

HANDLERS: Handlers = {
    SetAlpha: SetAlphaHandler(),
    SearchAlpha: SearchAlphaHandler(),
    LearnAlpha: LearnAlphaHandler(),
    TuneAffine: TuneAffineHandler(),
    LabelFreeAlpha: LabelFreeAlphaHandler(),
    Reestimate: ReestimateHandler(),
    SearchStatistics: SearchStatisticsHandler(),
    Temperature: TemperatureHandler(),
    Measure: MeasureHandler(),
    ProbeInputFit: InputFitHandler(),
    ProbeEstimationShift: EstimationShiftHandler(),
    ProbeFieldShift: FieldShiftHandler(),
    ProbeStatisticNoise: StatisticNoiseHandler(),
    ProbeOutputBound: OutputBoundHandler(),
    ProbeChannelHealth: ChannelHealthHandler(),
    ProbeCorruptions: CorruptionsHandler(),
    ProbeAdaptation: AdaptationHandler(),
    Adapt: AdaptHandler(),
    Auto: AutoHandler(),
}
