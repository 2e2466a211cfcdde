"""The table of the methods."""

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import BaseModel, Field

from calibrate.steps.adaptation_methods.by_entropy import EATA, ETA, SAR, Tent
from calibrate.steps.adaptation_methods.by_statistics import IEW, BNAlpha, PredictionTimeBN
from calibrate.steps.adaptation_methods.lame import LAME

Method = Annotated[
    IEW | PredictionTimeBN | BNAlpha | Tent | ETA | EATA | SAR | LAME,
    Field(discriminator="kind"),
]


#: Each method by its name, with the settings that it has where none are given.
METHODS: Mapping[str, Method] = {
    method.kind: method
    for method in (IEW(), PredictionTimeBN(), BNAlpha(prior=16.0), Tent(), ETA(), EATA(), SAR(), LAME())
}


#: The class of each kind of method.
METHOD_KINDS: Mapping[str, type[BaseModel]] = {
    method.model_fields["kind"].default: method for method in get_args(get_args(Method)[0])
}
