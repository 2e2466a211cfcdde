"""Scores of a classifier, with intervals."""

from calibrate.metrics.calibration_error import expected_calibration_error, reliability
from calibrate.metrics.label_order import order_finding, renumbering
from calibrate.metrics.measurement import ArmScores, difference, measure, near_chance
from calibrate.metrics.paired_proportions import paired_interval
from calibrate.metrics.predictions import Predicted, predicted_classes, prediction_changes
from calibrate.metrics.ranking import Ranked, rank
from calibrate.metrics.resampling import bootstrap, interval, mean_samples
from calibrate.metrics.scores import PerExample, require_finite, score, score_or_guess
from calibrate.metrics.t_test import PairedTTest, paired_t_test

__all__ = [
    "ArmScores",
    "PairedTTest",
    "PerExample",
    "Predicted",
    "Ranked",
    "bootstrap",
    "difference",
    "expected_calibration_error",
    "interval",
    "mean_samples",
    "measure",
    "near_chance",
    "order_finding",
    "paired_interval",
    "paired_t_test",
    "predicted_classes",
    "prediction_changes",
    "rank",
    "reliability",
    "renumbering",
    "require_finite",
    "score",
    "score_or_guess",
]
