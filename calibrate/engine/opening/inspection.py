"""Inspection: what a network is made of, without any data."""

from dataclasses import dataclass

import torch

from calibrate.diagnose import statistics_health
from calibrate.engine.execution import describe_sites
from calibrate.engine.handler import Given
from calibrate.engine.inputs.fit import input_findings
from calibrate.engine.opening.checkpoint import Opened
from calibrate.engine.passes.prediction import input_dtype
from calibrate.io import fingerprint
from calibrate.preprocessing import Preprocessing
from calibrate.result import Finding, LayerCondition, SiteSummary, condition_findings
from calibrate.steps import InputFit, NotApplicable
from calibrate.surgery import Look, find_sites, look


@dataclass(frozen=True, slots=True)
class Inspection:
    """A network's size, sites and the health of their statistics, and with data how these are prepared and fit.

    ``opening`` is what there is to say of how its file was read.
    ``look`` is what it does with the data, or with a black image where its input size is known.
    """

    parameters: int
    dtype: str
    fingerprint: str
    sites: tuple[SiteSummary, ...]
    look: Look | None
    health: tuple[LayerCondition, ...]
    preprocessing: Preprocessing | None
    input_fit: InputFit | NotApplicable | None
    opening: tuple[Finding, ...] = ()
    data_findings: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the reader should know."""
        fit = self.input_fit
        fits = input_findings(fit) if isinstance(fit, InputFit) else ()
        return (*self.opening, *self.data_findings, *fits, *condition_findings(self.health))


def inspect_model(opened: Opened, given: Given | None = None) -> Inspection:
    """Inspect an opened network, on data where these are ``given``."""
    model, shape = opened.model, opened.preprocessing
    seen = None if given is None else given.look
    if given is None and shape is not None and (side := shape.crop or shape.resize):
        black = torch.zeros(2, shape.channels, side, side, dtype=input_dtype(model))
        seen = look(model, find_sites(model), black)
    return Inspection(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(input_dtype(model)).removeprefix("torch."),
        fingerprint=fingerprint(model.state_dict()),
        sites=describe_sites(model),
        look=seen,
        health=statistics_health(model, seen=seen) if given is None else given.health,
        preprocessing=shape if given is None else given.source.preparation,
        input_fit=None if given is None else given.input_fit,
        opening=opened.findings,
        data_findings=() if given is None else given.source.findings,
    )
