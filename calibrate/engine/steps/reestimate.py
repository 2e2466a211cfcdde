"""The step ``reestimate``: running statistics measured anew on the calibration half or the training data."""

from collections.abc import Mapping
from glob import escape
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Augmented, Source, Split
from calibrate.engine.handler import Given, Handler
from calibrate.engine.health import network_sick_channels
from calibrate.engine.passes.batches import SourceBatches, check_samples, drawn
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.stats import Reestimated, reestimate_
from calibrate.steps import Moved, Reestimate, Reestimation
from calibrate.surgery import eps_of, find_sites, with_statistics

Statistics = tuple[Tensor, Tensor]

#: In standard deviations or log variance: what may be left for a layer called several times without a finding.
FAR = 1e-3


def reestimate_statistics_(run: Run, step: Reestimate) -> None:
    """Give the matching sites the statistics of their inputs, and note how far these moved."""
    source, examples = data_of(step, run.given.source, run.given.split, run.given.training, run.given.seed)
    indices = drawn(examples, step.samples, run.given.seed)
    sites = with_statistics(find_sites(run.state.model), step.sites)
    channels: Mapping[str, Tensor] = {}
    if step.only == "sick":
        channels = sick_channels_of(run)
        if not (sites := tuple(site for site in sites if site.name in channels)):
            run.add_outcome_(Reestimation(on=step.on, only=step.only, images=0, passes=0.0, layers=()))
            return
    before = [statistics_of(site.module) for site in sites]
    size = (step.batch_size or run.given.setting.statistics_batch) if step.order == "batch" else None
    batches = SourceBatches(source, indices, run.given.setting, input_dtype(run.state.model), size)
    found = reestimate_(
        run.state.model,
        batches,
        order=step.order,
        prior=step.prior,
        variant=step.variant,
        weight=step.weight,
        sites=step.sites if step.only == "all" else tuple(escape(site.name) for site in sites),
        channels=channels,
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
            weight=_weight(step, found.images),
            prior=step.prior if step.weight is None else prior_of(step.weight, found.images),
            batch_size=size,
            passes=batches.read / len(indices),
            layers=tuple(
                moved(site.name, old, site.module)
                for site, old in zip(sites, before, strict=True)
                if site.name in found.moments
            ),
            partly=tuple(site.name for site in sites if site.name in channels and not channels[site.name].all()),
        )
    )
    note_repeated_(run, found)


def sick_channels_of(run: Run) -> Mapping[str, Tensor]:
    """The channels that need new statistics, by layer, in the network as it stands."""
    given = run.given
    return network_sick_channels(run.state.model, given.source, given.split.calibration, given.setting, given.look)


def find_idle_(run: Run, found: Reestimated) -> None:
    """Note which layers no example came to, where the first examples, of which that is known, did."""
    for name in found.idle:
        if name in run.given.look.positions:
            run.add_finding_("layer-idle", f"no example reached the layer {name}, so its statistics stay as they were.")


def note_repeated_(run: Run, found: Reestimated) -> None:
    """Note the layers called several times in a pass whose statistics are not those of their inputs in inference."""
    left = {name: repeated for name, repeated in found.repeated.items() if not repeated.distance <= FAR}
    if not left:
        return
    name, furthest = max(left.items(), key=lambda item: item[1].distance)
    which = f"{len(left)} layers are called several times in a pass, {name} {furthest.calls} times"
    way = f"after {furthest.rounds} rounds"
    then = "see in the measurement what that does, or leave such layers out with `sites`"
    if not furthest.rounds:
        way = "with the order batch, in which each call goes by its own statistics,"
        then = "take the order in_order, which looks for those that are"
    run.add_finding_(
        "fixed-point-missed",
        f"{which if left.keys() - {name} else f'{name} is called {furthest.calls} times in a pass'}, and {way} the "
        f"statistics there are not those of all inputs in inference: of {name} the means are off by up to "
        f"{furthest.mean:.2g} standard deviations, the log variances by {furthest.log_variance:.2g}; {then}.",
    )


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


def statistics_of(layer: nn.Module) -> Statistics:
    """The running mean and variance of ``layer``, copied, in float64."""
    mean, variance = (layer.get_buffer(name).detach() for name in ("running_mean", "running_var"))
    return mean.to("cpu", torch.float64, copy=True), variance.to("cpu", torch.float64, copy=True)


def moved(name: str, old: Statistics, layer: Any) -> Moved:
    """How far the statistics of ``layer`` are from the ``old`` ones."""
    mean, variance = statistics_of(layer)
    eps = eps_of(layer)
    wide, now = old[1] + eps, variance + eps
    distance = float(((mean - old[0]).abs() / wide.sqrt()).mean()), float((now / wide).log().abs().mean())
    if not all(map(isfinite, distance)):
        return Moved(name=name, mean=None, log_variance=None)
    return Moved(name=name, mean=distance[0], log_variance=distance[1])


def _weight(step: Reestimate, images: int) -> float:
    if step.weight is not None:
        return step.weight
    return step.prior / (step.prior + images) if step.prior else 0.0


def prior_of(weight: float, images: int) -> float | None:
    """How many images the old statistics count as much as; None without end."""
    return None if weight == 1 else images * weight / (1 - weight)


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
