"""Choosing and learning on the calibration half."""

from calibrate.search.affine import affine_tensors, learnable_affine
from calibrate.search.alpha import Found, Trial, search_alpha
from calibrate.search.few_shot import Chosen, Epoch, Learnable, choose, learn, place_
from calibrate.search.landscape import LogitsAt
from calibrate.search.learned_alpha import check_channels, learnable_alpha
from calibrate.search.temperature import Temperature, fit_temperature

__all__ = [
    "Chosen",
    "Epoch",
    "Found",
    "Learnable",
    "LogitsAt",
    "Temperature",
    "Trial",
    "affine_tensors",
    "check_channels",
    "choose",
    "fit_temperature",
    "learn",
    "learnable_affine",
    "learnable_alpha",
    "place_",
    "search_alpha",
]
