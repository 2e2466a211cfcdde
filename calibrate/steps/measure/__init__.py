"""The step ``measure``: the original and the tuned network on the holdout half, and the verdict."""

from calibrate.steps.measure.result import Measurement
from calibrate.steps.measure.scores import (
    Arm,
    Bin,
    ChangedExample,
    ClassChange,
    Difference,
    Direction,
    Prediction,
    PredictionChanges,
    Scores,
    TunedArm,
)
from calibrate.steps.measure.step import Measure
from calibrate.steps.measure.tables import differences_table, interval_words, scores_table
from calibrate.steps.measure.verdict import DECIMALS, JUDGED, judge, verdict_of

__all__ = [
    "DECIMALS",
    "JUDGED",
    "Arm",
    "Bin",
    "ChangedExample",
    "ClassChange",
    "Difference",
    "Direction",
    "Measure",
    "Measurement",
    "Prediction",
    "PredictionChanges",
    "Scores",
    "TunedArm",
    "differences_table",
    "interval_words",
    "judge",
    "scores_table",
    "verdict_of",
]
