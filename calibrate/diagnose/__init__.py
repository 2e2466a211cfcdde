"""Probes: what a trained network's normalisation does on given data, one probe a file. Nothing is changed."""

from calibrate.diagnose.estimation_shift import estimation_shift, rank_correlation
from calibrate.diagnose.input_shift import input_shift

__all__ = ["estimation_shift", "input_shift", "rank_correlation"]
