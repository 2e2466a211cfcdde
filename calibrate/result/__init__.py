"""What happened: the summary of a run, its verdict, its progress. No torch here."""

from calibrate.result.artifact import Artifact, Latency, Parity, Serving
from calibrate.result.compared_arms import ArmResult, ComparedArms, ComparedMetric, LayerDifference, PairedTest
from calibrate.result.finetuned import Epoch, FineTuned, FineTuningData, LayerHistogram
from calibrate.result.layers import LayerStatistics
from calibrate.result.progress import Listener, Progress, silent
from calibrate.result.summary import (
    Changes,
    Data,
    Environment,
    Finding,
    ModelFacts,
    ProbeResult,
    SiteSummary,
    Summary,
    Timings,
    TrainingData,
)

__all__ = [
    "METRICS",
    "ArmResult",
    "Artifact",
    "Changes",
    "ComparedArms",
    "ComparedMetric",
    "Data",
    "Environment",
    "Epoch",
    "Estimate",
    "Finding",
    "FineTuned",
    "FineTuningData",
    "Latency",
    "LayerDifference",
    "LayerHistogram",
    "LayerStatistics",
    "Listener",
    "Metric",
    "ModelFacts",
    "PairedTest",
    "Parity",
    "ProbeResult",
    "Progress",
    "Serving",
    "SiteSummary",
    "Summary",
    "Timings",
    "TrainingData",
    "Verdict",
    "silent",
]
