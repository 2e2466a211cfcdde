"""The step ``measure``: the original and the tuned network on the holdout half, and the verdict."""

from calibrate.steps.measure.result import Measurement
from calibrate.steps.measure.scores import (
    Arm,
    Bin,
    ChangedExample,
    ClassChange,
    Difference,
    Direction,
    EmptyArm,
    Prediction,
    PredictionChanges,
    Scores,
    TunedArm,
)
from calibrate.steps.measure.step import Measure
from calibrate.steps.measure.tables import differences_table, empty_words, interval_words, scores_table
from calibrate.steps.measure.verdict import DECIMALS, JUDGED, judge, judge_without_baseline, too_few, verdict_of

__all__ = [
    "DECIMALS",
    "JUDGED",
    "Arm",
    "Bin",
    "ChangedExample",
    "ClassChange",
    "Difference",
    "Direction",
    "EmptyArm",
    "Measure",
    "Measurement",
    "Prediction",
    "PredictionChanges",
    "Scores",
    "TunedArm",
    "differences_table",
    "empty_words",
    "interval_words",
    "judge",
    "judge_without_baseline",
    "scores_table",
    "too_few",
    "verdict_of",
]
