"""The steps that tune a network in one go, and which function carries out which."""

from collections.abc import Callable, Mapping
from typing import Any

from calibrate.engine.run import Run
from calibrate.engine.steps.label_free_alpha import label_free_alpha_
from calibrate.engine.steps.learn_alpha import learn_alpha_
from calibrate.engine.steps.reestimate import reestimate_statistics_
from calibrate.engine.steps.search_alpha import search_alpha_
from calibrate.engine.steps.set_alpha import set_alpha_
from calibrate.engine.steps.temperature import fit_temperature_
from calibrate.engine.steps.tune_affine import tune_affine_
from calibrate.recipe import LabelFreeAlpha, LearnAlpha, Reestimate, SearchAlpha, SetAlpha, Temperature, TuneAffine

#: Which function carries out which tuning step.
TUNING_STEPS: Mapping[type, Callable[[Run, Any], None]] = {
    SetAlpha: set_alpha_,
    SearchAlpha: search_alpha_,
    LabelFreeAlpha: label_free_alpha_,
    LearnAlpha: learn_alpha_,
    TuneAffine: tune_affine_,
    Reestimate: reestimate_statistics_,
    Temperature: fit_temperature_,
}
