"""Probes: what a trained network's normalisation does on given data, one probe a file. Nothing is changed."""

from calibrate.diagnose.corruption_means import corruption_means, means, seen
from calibrate.diagnose.estimation_shift import estimation_shift, rank_correlation
from calibrate.diagnose.stream import diagnose_stream

__all__ = [
    "corruption_means",
    "diagnose_stream",
    "estimation_shift",
    "means",
    "rank_correlation",
    "seen",
]
