"""Scores of a classifier, with intervals."""

from calibrate.metrics.answers import Answered, answered_classes, compare_answers
from calibrate.metrics.calibration_error import expected_calibration_error, reliability
from calibrate.metrics.measurement import ArmScores, measure, near_chance
from calibrate.metrics.paired_proportions import paired_interval
from calibrate.metrics.ranking import Ranked, rank
from calibrate.metrics.resampling import bootstrap, interval, mean_samples
from calibrate.metrics.scores import PerExample, score
from calibrate.metrics.t_test import PairedTTest, paired_t_test

__all__ = [
    "Answered",
    "ArmScores",
    "PairedTTest",
    "PerExample",
    "Ranked",
    "answered_classes",
    "bootstrap",
    "compare_answers",
    "expected_calibration_error",
    "interval",
    "mean_samples",
    "measure",
    "near_chance",
    "paired_interval",
    "paired_t_test",
    "rank",
    "reliability",
    "score",
]
