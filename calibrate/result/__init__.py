"""What happened: the summary of a run, its verdict, its progress. No torch here."""

from calibrate.result.adaptation import StreamDiagnosis, StreamMeasures, StreamWarning, StreamWarningCode
from calibrate.result.adapted_scores import Adaptation, Kept, MethodScores, StreamScores
from calibrate.result.answers import Answer, Answers, ChangedExample, ClassChange, Direction, TunedArm
from calibrate.result.artifact import Artifact, Latency, Parity, Serving
from calibrate.result.channel_health import (
    DRIFT_BINS,
    EXPLODING_SHARE,
    FAR_OUT,
    PRUNED_GAMMA,
    ChannelHealth,
    GradientFactor,
    LayerHealth,
)
from calibrate.result.compared_arms import ArmResult, ComparedArms, ComparedMetric, LayerDifference, PairedTest
from calibrate.result.corruptions import CorruptionMean, Corruptions, CorruptionScores, TopOneAndNll
from calibrate.result.estimation_shift import EstimationShift, InputShift, LayerShift
from calibrate.result.finetuned import Epoch, FineTuned, FineTuningData, LayerHistogram
from calibrate.result.label_free import LabelFreePoint, LabelFreeSearch
from calibrate.result.layers import DEAD_VARIANCE, LayerStatistics
from calibrate.result.leaderboard import HeldOut, Leaderboard, Rung, Standing
from calibrate.result.learning import ChangedTensor, Learned, LearningEpoch
from calibrate.result.output_bound import LayerBound, OutputBound
from calibrate.result.probes import NotApplicable, ProbeResult
from calibrate.result.progress import Listener, Progress, silent
from calibrate.result.reestimation import Moved, Reestimation
from calibrate.result.statistic_noise import NoiseCurve, NoiseLevel, StatisticNoise
from calibrate.result.summary import (
    AlphaSearch,
    Arm,
    Bin,
    Changes,
    CurvePoint,
    Data,
    Difference,
    Environment,
    Finding,
    Measurement,
    ModelFacts,
    Scores,
    SiteSummary,
    Summary,
    Timings,
    TrainingData,
)
from calibrate.result.verdict import judge, verdict_of
from calibrate.values import METRICS, Estimate, Metric, Verdict

__all__ = [
    "DEAD_VARIANCE",
    "DRIFT_BINS",
    "EXPLODING_SHARE",
    "FAR_OUT",
    "METRICS",
    "PRUNED_GAMMA",
    "Adaptation",
    "AlphaSearch",
    "Answer",
    "Answers",
    "Arm",
    "ArmResult",
    "Artifact",
    "Bin",
    "ChangedExample",
    "ChangedTensor",
    "Changes",
    "ChannelHealth",
    "ClassChange",
    "ComparedArms",
    "ComparedMetric",
    "CorruptionMean",
    "CorruptionScores",
    "Corruptions",
    "CurvePoint",
    "Data",
    "Difference",
    "Direction",
    "Environment",
    "Epoch",
    "Estimate",
    "EstimationShift",
    "Finding",
    "FineTuned",
    "FineTuningData",
    "GradientFactor",
    "HeldOut",
    "InputShift",
    "Kept",
    "LabelFreePoint",
    "LabelFreeSearch",
    "Latency",
    "LayerBound",
    "LayerDifference",
    "LayerHealth",
    "LayerHistogram",
    "LayerShift",
    "LayerStatistics",
    "Leaderboard",
    "Learned",
    "LearningEpoch",
    "Listener",
    "Measurement",
    "MethodScores",
    "Metric",
    "ModelFacts",
    "Moved",
    "NoiseCurve",
    "NoiseLevel",
    "NotApplicable",
    "OutputBound",
    "PairedTest",
    "Parity",
    "ProbeResult",
    "Progress",
    "Reestimation",
    "Rung",
    "Scores",
    "Serving",
    "SiteSummary",
    "Standing",
    "StatisticNoise",
    "StreamDiagnosis",
    "StreamMeasures",
    "StreamScores",
    "StreamWarning",
    "StreamWarningCode",
    "Summary",
    "Timings",
    "TopOneAndNll",
    "TrainingData",
    "TunedArm",
    "Verdict",
    "judge",
    "silent",
    "verdict_of",
]
