"""Choosing and learning on the calibration half."""

from calibrate.search.affine import affine_tensors, learnable_affine
from calibrate.search.alpha import Found, Trial, search_alpha
from calibrate.search.choice import Candidacy, choose_simplest, paired_gap
from calibrate.search.few_shot import Chosen, Epoch, Learnable, choose, learn, place_
from calibrate.search.landscape import LogitsAt
from calibrate.search.learned_alpha import check_channels, learnable_alpha
from calibrate.search.temperature import Temperature, cross_entropy, fit_temperature

__all__ = [
    "Candidacy",
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
    "choose_simplest",
    "cross_entropy",
    "fit_temperature",
    "learn",
    "learnable_affine",
    "learnable_alpha",
    "paired_gap",
    "place_",
    "search_alpha",
]
