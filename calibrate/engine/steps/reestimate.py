"""The step ``reestimate``: running statistics measured anew on the calibration half or the training data."""

from collections.abc import Sequence
from glob import escape
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Augmented, Source, Split
from calibrate.engine.handler import Given, Handler
from calibrate.engine.health import network_health
from calibrate.engine.passes.batches import SourceBatches, check_samples, drawn
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.stats import Reestimated, reestimate_
from calibrate.steps import Moved, Reestimate, Reestimation
from calibrate.surgery import Site, find_sites, with_statistics

Statistics = tuple[Tensor, Tensor]


def reestimate_statistics_(run: Run, step: Reestimate) -> None:
    """Give the matching sites the statistics of their inputs, and note how far these moved."""
    source, examples = data_of(step, run.given.source, run.given.split, run.given.training, run.given.seed)
    indices = drawn(examples, step.samples, run.given.seed)
    sites = with_statistics(find_sites(run.state.model), step.sites)
    if step.only == "sick" and not (sites := sick_sites(run, sites)):
        run.add_outcome_(Reestimation(on=step.on, only=step.only, images=0, passes=0.0, layers=()))
        return
    before = [_statistics(site.module) for site in sites]
    batches = SourceBatches(source, indices, run.given.setting, input_dtype(run.state.model))
    found = reestimate_(
        run.state.model,
        batches,
        order=step.order,
        prior=step.prior,
        variant=step.variant,
        sites=step.sites if step.only == "all" else tuple(escape(site.name) for site in sites),
        progress=run.given.setting.progress,
    )
    run.change_()
    run.notes.forwards += batches.read
    find_idle_(run, found)
    run.add_outcome_(
        Reestimation(
            on=step.on,
            only=step.only,
            augmentation=step.augmentation,
            images=found.images,
            passes=batches.read / len(indices),
            layers=tuple(
                _moved(site.name, old, site.module)
                for site, old in zip(sites, before, strict=True)
                if site.name in found.moments
            ),
        )
    )


def sick_sites(run: Run, sites: Sequence[Site]) -> tuple[Site, ...]:
    """Those of ``sites`` that statistics health calls sick in the network as it stands."""
    given = run.given
    found = network_health(run.state.model, given.source, given.split.calibration, given.setting, given.look)
    sick = {item.layer for item in found if item.sick}
    return tuple(site for site in sites if site.name in sick)


def find_idle_(run: Run, found: Reestimated) -> None:
    """Note which layers no example came to, where the first examples, of which that is known, did."""
    for name in found.idle:
        if name in run.given.look.positions:
            run.add_finding_("layer-idle", f"no example reached the layer {name}, so its statistics stay as they were.")


def data_of(
    step: Reestimate, source: Source, split: Split, training: Source | None, seed: int
) -> tuple[Source, NDArray[np.int64]]:
    """Which examples of what the step draws from; raises DataError where they are not what it asks for."""
    examples, which = split.calibration, "calibration half has"
    if step.on == "training":
        assert training is not None, "open_training refuses a recipe that wants what was not given"
        source, examples, which = training, np.arange(len(training)), "training data have"
    check_samples(step, which, len(examples))
    return (source if step.augmentation == "none" else Augmented(source, seed)), examples


def _statistics(layer: nn.Module) -> Statistics:
    mean, variance = (layer.get_buffer(name).detach() for name in ("running_mean", "running_var"))
    return mean.to("cpu", torch.float64, copy=True), variance.to("cpu", torch.float64, copy=True)


def _moved(name: str, old: Statistics, layer: Any) -> Moved:
    mean, variance = _statistics(layer)
    wide, now = old[1] + layer.eps, variance + layer.eps
    moved = float(((mean - old[0]).abs() / wide.sqrt()).mean()), float((now / wide).log().abs().mean())
    if not all(map(isfinite, moved)):
        return Moved(name=name, mean=None, log_variance=None)
    return Moved(name=name, mean=moved[0], log_variance=moved[1])


class ReestimateHandler(Handler[Reestimate]):
    """Carries out Reestimate."""

    def check_network(self, step: Reestimate, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        with_statistics(find_sites(model), step.sites)

    def check_data(self, step: Reestimate, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        data_of(step, given.source, given.split, given.training, given.seed)
        return model

    def expected_passes(self, step: Reestimate) -> float:  # noqa: ARG002 (the same for all)
        """See :meth:`Handler.expected_passes`."""
        return 2.5

    def run(self, run: Run, step: Reestimate) -> None:
        """See :meth:`Handler.run`."""
        reestimate_statistics_(run, step)
