"""Inspection: what a network is made of, without any data."""

from dataclasses import dataclass

import torch

from calibrate.diagnose import statistics_health
from calibrate.engine.execution import describe_sites
from calibrate.engine.opening.checkpoint import Opened
from calibrate.engine.passes.prediction import input_dtype
from calibrate.io import fingerprint
from calibrate.result import LayerCondition, SiteSummary
from calibrate.surgery import Look, find_sites, look


@dataclass(frozen=True, slots=True)
class Inspection:
    """A network's size, sites and the health of their statistics, by the weights alone.

    ``look`` is what it does with data, or with a black image where its input size is known.
    """

    parameters: int
    dtype: str
    fingerprint: str
    sites: tuple[SiteSummary, ...]
    look: Look | None
    health: tuple[LayerCondition, ...]


def inspect_model(opened: Opened, seen: Look | None = None) -> Inspection:
    """Inspect an opened network; ``seen`` is what it does with data, else it is shown a black image."""
    model = opened.model
    shape = opened.preprocessing
    if seen is None and shape is not None and (side := shape.crop or shape.resize):
        black = torch.zeros(2, shape.channels, side, side, dtype=input_dtype(model))
        seen = look(model, find_sites(model), black)
    return Inspection(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(input_dtype(model)).removeprefix("torch."),
        fingerprint=fingerprint(model.state_dict()),
        sites=describe_sites(model),
        look=seen,
        health=statistics_health(model, seen=seen),
    )
