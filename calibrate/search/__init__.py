"""Choosing hyper-parameters on the calibration half."""

from calibrate.search.alpha import Found, Trial, search_alpha
from calibrate.search.landscape import LogitsAt
from calibrate.search.temperature import Temperature, fit_temperature

__all__ = ["Found", "LogitsAt", "Temperature", "Trial", "fit_temperature", "search_alpha"]
