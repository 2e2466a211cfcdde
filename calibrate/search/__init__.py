"""Choosing hyper-parameters on the calibration half."""

from calibrate.search.alpha import Found, Trial, search_alpha
from calibrate.search.answers import agreement, answers, entropy, spread
from calibrate.search.label_free import TermsAt, search_label_free
from calibrate.search.landscape import LogitsAt
from calibrate.search.temperature import Temperature, fit_temperature

__all__ = [
    "Found",
    "LogitsAt",
    "Temperature",
    "TermsAt",
    "Trial",
    "agreement",
    "answers",
    "entropy",
    "fit_temperature",
    "search_alpha",
    "search_label_free",
    "spread",
]
