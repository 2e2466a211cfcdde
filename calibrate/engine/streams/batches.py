"""Streams as the engine makes them: the domains' examples, batch after batch, through an adapted network."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.adapt import Adapted
from calibrate.data import Corrupted, Source, Split, obstacle
from calibrate.engine.handler import Given
from calibrate.engine.passes.batches import RandomBatches
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.errors import DataError, UsageError
from calibrate.result import Progress
from calibrate.steps import Adapt, Domain, ProbeAdaptation

Rows = NDArray[np.int64]

#: The inputs (n, C, ...) of some rows, which may come twice, in a domain given by its number.
Take = Callable[[int, Rows], Tensor]


def in_domain(source: Source, domain: Domain, seed: int) -> Source:
    """The examples of ``source`` as ``domain`` has them."""
    if domain.corruption is None:
        return source
    assert domain.severity is not None
    return Corrupted(source, domain.corruption, domain.severity, seed)


def stream_batches(order: tuple[Rows, Rows], size: int, take: Take) -> Iterator[Tensor]:
    """The inputs of the visits that ``order`` lists by domain and row, in batches of ``size``; the last may be smaller.

    >>> order = np.array([1, 0, 1]), np.array([5, 6, 7])
    >>> [batch.tolist() for batch in stream_batches(order, 2, lambda domain, rows: torch.tensor(rows + 100 * domain))]
    [[105, 6], [107]]
    """
    for start in range(0, len(order[0]), size):
        domains, rows = (visits[start : start + size] for visits in order)
        by_domain = [take(int(domain), rows[domains == domain]) for domain in np.unique(domains)]
        yield torch.cat(by_domain)[torch.from_numpy(np.argsort(np.argsort(domains, kind="stable")))]


def adapted_logits(run: Run, adapted: Adapted, batches: Iterable[Tensor], stage: str, visits: int) -> Iterator[Tensor]:
    """The logits (n, K), on the CPU, that ``adapted`` gives for each of ``batches``, in all ``visits`` images."""
    done, passes = 0, 0
    for x in batches:
        logits = adapted.step(x.to(run.given.setting.device, input_dtype(run.state.model))).cpu()
        spent = adapted.tally.forward + adapted.checks
        run.notes.forwards += (spent - passes) * len(x)
        done, passes = done + len(x), spent
        run.given.setting.progress(Progress(stage, done, visits))
        yield logits


def in_distribution(run: Run) -> Iterator[Tensor]:
    """Batches in random order of training data, where they were given, else of the calibration half."""
    source, indices = run.given.source, run.given.split.calibration
    if run.given.training is not None:
        source, indices = run.given.training, np.arange(len(run.given.training))
    drawn = RandomBatches(source, indices, run.given.setting, input_dtype(run.state.model), run.given.seed)
    return (x for _, x in drawn.after(0))


#: The orders in which the labels say what comes when.
BY_LABEL = ("class_sorted", "correlated")


def check_stream(step: Adapt, source: Source, halves: Split) -> None:
    """Raise where the examples cannot come as the stream of ``step`` has them."""
    if step.stream.order in BY_LABEL and source.labels is None:
        raise UsageError(
            f"{source.name} has no labels, by which a stream in the order {step.stream.order} is made; give labelled "
            "data, or the order shuffled."
        )
    if step.corrupts and (reason := obstacle(source, int(halves.calibration[0]))):
        raise DataError(f"{source.name} cannot be corrupted: {reason}.")


def check_methods(step: ProbeAdaptation | Adapt, given: Given, model: nn.Module) -> None:
    """Let each method take one step on the first inputs, and raise what stands in its way."""
    for method in step.asked_methods:
        Adapted(model, method, in_distribution=[given.first], collapse=None).step(given.first)
