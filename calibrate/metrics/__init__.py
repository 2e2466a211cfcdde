"""Scores of a classifier, with intervals."""

from calibrate.metrics.answers import Answered, answered_classes, compare_answers
from calibrate.metrics.bootstrap import bootstrap, interval, mean_samples
from calibrate.metrics.calibration_error import expected_calibration_error, reliability
from calibrate.metrics.chance import near_chance
from calibrate.metrics.measure import ArmScores, measure
from calibrate.metrics.paired_proportions import paired_interval
from calibrate.metrics.paired_t_test import PairedTTest, paired_t_test
from calibrate.metrics.rank import Ranked, rank
from calibrate.metrics.scores import PerExample, score

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
