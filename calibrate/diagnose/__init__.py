"""Probes: what a trained network's normalisation does on given data, one probe a file. Nothing is changed."""

from calibrate.diagnose.estimation_shift import estimation_shift, rank_correlation
from calibrate.diagnose.statistic_noise import disturbed, noise_curve, noise_level

__all__ = ["disturbed", "estimation_shift", "noise_curve", "noise_level", "rank_correlation"]
