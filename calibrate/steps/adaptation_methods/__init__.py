"""Test-time adaptation methods: their settings, whose docstrings are the cards, by what they change."""

from calibrate.steps.adaptation_methods.base import SGD, Adam, CollapseRule, Optimizer, Rate, Share
from calibrate.steps.adaptation_methods.by_entropy import EATA, ETA, SAR, Tent
from calibrate.steps.adaptation_methods.by_statistics import IEW, BNAlpha, PredictionTimeBN
from calibrate.steps.adaptation_methods.lame import LAME
from calibrate.steps.adaptation_methods.table import METHOD_KINDS, METHODS, Method
from calibrate.steps.adaptation_methods.words import NAMES, described, method_name, method_settings, stream_words

__all__ = [
    "EATA",
    "ETA",
    "IEW",
    "LAME",
    "METHODS",
    "METHOD_KINDS",
    "NAMES",
    "SAR",
    "SGD",
    "Adam",
    "BNAlpha",
    "CollapseRule",
    "Method",
    "Optimizer",
    "PredictionTimeBN",
    "Rate",
    "Share",
    "Tent",
    "described",
    "method_name",
    "method_settings",
    "stream_words",
]
