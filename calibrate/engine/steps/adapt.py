"""The step ``adapt``: what an adapter learns from a stream of the calibration half, kept in the network."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from calibrate.adapt import Adapted, adaptable
from calibrate.data import cached
from calibrate.data.stream_orders import stream_order
from calibrate.engine.handler import Given, Handler, weighed
from calibrate.engine.passes.batches import SourceBatches
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.engine.steps.reestimate import find_idle_, note_repeated_
from calibrate.engine.steps.set_alpha import set_alpha_
from calibrate.engine.streams.batches import (
    Rows,
    adapted_logits,
    check_methods,
    check_stream,
    in_distribution,
    in_domain,
    stream_batches,
)
from calibrate.errors import ModelError
from calibrate.stats import Batches, reestimate_
from calibrate.steps import ETA, IEW, SAR, Adapt, SetAlpha, StreamLearning, Tent


def adapt_(run: Run, step: Adapt) -> None:
    """Give the network the γ and β that the method learns, and running statistics that fit them.

    Those are of the same examples in the same domains, each once, in the order ``in_order``: so the network that is
    kept, which normalises by them at every layer, has its own, however the stream fell into batches.
    IEW learns nothing from a stream, so none is run: its α is set.
    """
    method, stream, examples = step.method, step.stream, run.given.split.calibration
    if isinstance(method, IEW):
        set_alpha_(run, SetAlpha(alpha=method.alpha, sites=method.sites))
        run.add_outcome_(
            StreamLearning(method=method, stream=stream, images=0, learned=(), reestimated=False, collapses=0)
        )
        return
    assert isinstance(method, Tent | ETA | SAR)  # the recipe takes no other
    source = cached(run.given.source)
    domains = [cached(in_domain(source, domain, run.given.seed)) for domain in stream.domains]
    labels = np.zeros(len(examples), np.int64) if source.labels is None else source.labels[examples]
    order = stream_order(labels, stream, run.given.seed)

    def take(domain: int, rows: Rows) -> Tensor:
        distinct, places = np.unique(rows, return_inverse=True)
        (batch,) = domains[domain].batches(examples[distinct], len(distinct))
        return batch.inputs[torch.from_numpy(places)]

    adapted = Adapted(run.state.model, method, in_distribution=in_distribution(run), collapse=step.collapse)
    for _ in adapted_logits(run, adapted, stream_batches(order, stream.batch_size, take), "adapt", len(order[0])):
        pass
    _put_(run, adapted)
    parts = [SourceBatches(domain, examples, run.given.setting, input_dtype(run.state.model)) for domain in domains]
    found = reestimate_(
        run.state.model,
        _Consecutive(parts, len(examples)),
        sites=[site.name for site in adaptable(run.state.model, method.sites)],
        progress=run.given.setting.progress,
    )
    find_idle_(run, found)
    run.change_()
    run.notes.forwards += sum(part.read for part in parts)
    run.add_outcome_(
        StreamLearning(
            method=method,
            stream=stream,
            images=len(examples),
            learned=adapted.learned,
            reestimated=True,
            collapses=len(adapted.collapses),
        )
    )
    note_repeated_(run, found)


def _put_(run: Run, adapted: Adapted) -> None:
    learned = {name: adapted.model.get_parameter(name) for name in adapted.learned}
    if broken := [name for name, value in learned.items() if not value.isfinite().all()]:
        raise ModelError(
            f"after the stream {broken[0]} is infinite or not a number, so there is nothing to keep; lower `lr` in the "
            "step adapt, or take a method that leaves γ and β as they are."
        )
    with torch.no_grad():
        for name, value in learned.items():
            run.state.model.get_parameter(name).copy_(value)


class _Consecutive(Batches):
    """The batches of ``parts``, of ``count`` examples each, one after the other; numbered through."""

    def __init__(self, parts: Sequence[SourceBatches], count: int) -> None:
        self._parts, self._count = parts, count

    def after(self, first: int) -> Iterator[tuple[int, Tensor]]:
        """See :meth:`Batches.after`."""
        for place in range(first // self._count, len(self._parts)):
            start = place * self._count
            for number, x in self._parts[place].after(max(first - start, 0)):
                yield start + number, x


class AdaptHandler(Handler[Adapt]):
    """Carries out Adapt."""

    def check_data(self, step: Adapt, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        check_stream(step, given.source, given.split)
        check_methods(step, given, model)
        return weighed(model, step.method.sites, given.look) if isinstance(step.method, IEW) else model

    def run(self, run: Run, step: Adapt) -> None:
        """See :meth:`Handler.run`."""
        adapt_(run, step)
