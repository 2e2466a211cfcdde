"""Carrying out a placement, and the one table that says which function carries out which step of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from torch import nn

from calibrate.recipe import Placement
from calibrate.recipe.placement import (
    GNBN,
    XBN,
    FourThings,
    IBNa,
    IBNb,
    Initialize,
    Place,
    PlaceEveryOdd,
    PlaceInBlocks,
    PlaceInStem,
    PrependInputBatchNorm,
)
from calibrate.surgery.copying import copied
from calibrate.surgery.ibn_b import ibn_b_
from calibrate.surgery.initialize import initialize_, prepend_input_batch_norm_
from calibrate.surgery.place import Replacement, place_
from calibrate.surgery.positions import batch_norms, every_odd, in_blocks, stem
from calibrate.surgery.presets import four_things, gnbn, ibn_a, xbn


def carry_out_placement(model: nn.Module, placement: Placement) -> nn.Module:
    """A copy of ``model`` on which the steps of ``placement`` were carried out in their order.

    Raises UsageError or ModelError for a step that the network, or the layer that it names, does not allow.

    >>> placement = Placement(steps=[{"kind": "place", "layer": "StochNorm", "settings": {"p": 0.25}}])
    >>> carry_out_placement(nn.Sequential(nn.BatchNorm1d(3)), placement)
    Sequential(
      (0): StochNorm(3, eps=1e-05, momentum=0.1, p=0.25)
    )
    """
    placed = copied(model)
    for step in placement.steps:
        placed = PLACEMENT_STEPS[type(step)](placed, step)
    return placed


def _place_(model: nn.Module, step: Any, names: Iterable[str]) -> nn.Module:
    return place_(model, dict.fromkeys(names, Replacement(step.layer, step.settings)))


def _arguments(step: BaseModel) -> dict[str, Any]:
    return step.model_dump(exclude={"kind"})


#: Which function carries out which step. A test holds this table equal to the union of the steps.
PLACEMENT_STEPS: Mapping[type[BaseModel], Callable[[nn.Module, Any], nn.Module]] = {
    Place: lambda model, step: _place_(model, step, batch_norms(model, step.sites)),
    PlaceInBlocks: lambda model, step: _place_(model, step, in_blocks(model, step.position, step.every)),
    PlaceEveryOdd: lambda model, step: _place_(model, step, every_odd(model)),
    PlaceInStem: lambda model, step: _place_(model, step, stem(model)),
    XBN: lambda model, step: place_(model, xbn(model, **_arguments(step))),
    GNBN: lambda model, step: place_(model, gnbn(model, **_arguments(step))),
    IBNa: lambda model, _: place_(model, ibn_a(model)),
    IBNb: lambda model, _: ibn_b_(model),
    FourThings: lambda model, step: place_(model, four_things(model, **_arguments(step))),
    Initialize: lambda model, step: initialize_(model, **_arguments(step)),
    PrependInputBatchNorm: lambda model, step: prepend_input_batch_norm_(model, **_arguments(step)),
}
