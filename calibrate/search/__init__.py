"""Choosing and learning on the calibration half."""

from calibrate.search.affine import affine_tensors, learnable_affine
from calibrate.search.alpha import AlphaPoint, Found, search_alpha
from calibrate.search.candidates import Candidacy, choose_simplest, paired_gap
from calibrate.search.few_shot import Chosen, Learnable, LearnedEpoch, choose, learn, place_
from calibrate.search.gain import paired_gain
from calibrate.search.label_free import TermsAt, search_label_free
from calibrate.search.landscape import LogitsAt
from calibrate.search.learned_alpha import check_channels, learnable_alpha
from calibrate.search.mix_criteria import InformationCriterion, LabelledCriterion, MixCriterion
from calibrate.search.prediction_criteria import agreement, entropy, probabilities, spread
from calibrate.search.statistics import STORED, Mix, margin_for, search_statistics
from calibrate.search.temperature import FittedTemperature, cross_entropy, fit_temperature

__all__ = [
    "STORED",
    "AlphaPoint",
    "Candidacy",
    "Chosen",
    "FittedTemperature",
    "Found",
    "InformationCriterion",
    "LabelledCriterion",
    "Learnable",
    "LearnedEpoch",
    "LogitsAt",
    "Mix",
    "MixCriterion",
    "TermsAt",
    "affine_tensors",
    "agreement",
    "check_channels",
    "choose",
    "choose_simplest",
    "cross_entropy",
    "entropy",
    "fit_temperature",
    "learn",
    "learnable_affine",
    "learnable_alpha",
    "margin_for",
    "paired_gain",
    "paired_gap",
    "place_",
    "probabilities",
    "search_alpha",
    "search_label_free",
    "search_statistics",
    "spread",
]
