"""Choosing hyper-parameters on the calibration half."""

from calibrate.search.alpha import Found, Trial, search_alpha
from calibrate.search.choice import Candidacy, choose, paired_gap
from calibrate.search.landscape import LogitsAt
from calibrate.search.temperature import Temperature, cross_entropy, fit_temperature

__all__ = [
    "Candidacy",
    "Found",
    "LogitsAt",
    "Temperature",
    "Trial",
    "choose",
    "cross_entropy",
    "fit_temperature",
    "paired_gap",
    "search_alpha",
]
