"""What happened: the summary of a run, its verdict, its progress. No torch here."""

from calibrate.result.artifact import Artifact, Latency, Parity, Serving
from calibrate.result.compared_arms import ArmResult, ComparedArms, ComparedMetric, LayerDifference, PairedTest
from calibrate.result.finetuned import Epoch, FineTuned, FineTuningData, LayerHistogram
from calibrate.result.summary import (
    Changes,
    Data,
    Environment,
    Finding,
    LayerStatistics,
    Listener,
    ModelFacts,
    Progress,
    SiteSummary,
    StepOutcome,
    Summary,
    Timings,
    TrainingData,
    digest_of,
    silent,
)

__all__ = [
    "ArmResult",
    "Artifact",
    "Changes",
    "ComparedArms",
    "ComparedMetric",
    "Data",
    "Environment",
    "Epoch",
    "Finding",
    "FineTuned",
    "FineTuningData",
    "Latency",
    "LayerDifference",
    "LayerHistogram",
    "LayerStatistics",
    "Listener",
    "ModelFacts",
    "PairedTest",
    "Parity",
    "Progress",
    "Serving",
    "SiteSummary",
    "StepOutcome",
    "Summary",
    "Timings",
    "TrainingData",
    "digest_of",
    "silent",
]
