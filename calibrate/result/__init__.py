"""What happened: the summary of a run, its verdict, its progress. No torch here."""

from calibrate.result.answers import Answer, Answers, ChangedExample, ClassChange, Direction, TunedArm
from calibrate.result.channel_health import (
    DRIFT_BINS,
    EXPLODING_SHARE,
    FAR_OUT,
    PRUNED_GAMMA,
    ChannelHealth,
    GradientFactor,
    LayerHealth,
)
from calibrate.result.corruptions import CorruptionMean, Corruptions, CorruptionScores, TopOneAndNll
from calibrate.result.estimate import Estimate
from calibrate.result.estimation_shift import EstimationShift, LayerShift
from calibrate.result.layers import DEAD_VARIANCE, LayerStatistics
from calibrate.result.output_bound import LayerBound, OutputBound
from calibrate.result.probes import NotApplicable, ProbeResult
from calibrate.result.progress import Listener, Progress, silent
from calibrate.result.reestimation import Moved, Reestimation
from calibrate.result.statistic_noise import NoiseCurve, NoiseLevel, StatisticNoise
from calibrate.result.summary import (
    METRICS,
    AlphaSearch,
    Arm,
    Artifact,
    Bin,
    Changes,
    CurvePoint,
    Data,
    Difference,
    Environment,
    Finding,
    Latency,
    Measurement,
    Metric,
    Model,
    Parity,
    Scores,
    Site,
    Summary,
    Timings,
    Verdict,
)
from calibrate.result.verdict import judge

__all__ = [
    "DEAD_VARIANCE",
    "DRIFT_BINS",
    "EXPLODING_SHARE",
    "FAR_OUT",
    "METRICS",
    "PRUNED_GAMMA",
    "AlphaSearch",
    "Answer",
    "Answers",
    "Arm",
    "Artifact",
    "Bin",
    "ChangedExample",
    "Changes",
    "ChannelHealth",
    "ClassChange",
    "CorruptionMean",
    "CorruptionScores",
    "Corruptions",
    "CurvePoint",
    "Data",
    "Difference",
    "Direction",
    "Environment",
    "Estimate",
    "EstimationShift",
    "Finding",
    "GradientFactor",
    "Latency",
    "LayerBound",
    "LayerHealth",
    "LayerShift",
    "LayerStatistics",
    "Listener",
    "Measurement",
    "Metric",
    "Model",
    "Moved",
    "NoiseCurve",
    "NoiseLevel",
    "NotApplicable",
    "OutputBound",
    "Parity",
    "ProbeResult",
    "Progress",
    "Reestimation",
    "Scores",
    "Site",
    "StatisticNoise",
    "Summary",
    "Timings",
    "TopOneAndNll",
    "TunedArm",
    "Verdict",
    "judge",
    "silent",
]
