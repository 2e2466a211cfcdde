"""What must hold before a stream is begun: data that can come in it, and a network that each method can adapt."""

from torch import Tensor, nn

from calibrate.adapt import Adapted, Context
from calibrate.data import Source, Split, obstacle
from calibrate.errors import DataError, UsageError
from calibrate.recipe import Adapt, Auto, LabelFreeAlpha, ProbeAdaptation, Recipe, SearchAlpha, SetAlpha
from calibrate.recipe.adapters import IEW, Method
from calibrate.recipe.streams import Stream
from calibrate.surgery import find_sites, select, weigh_examples_

#: The orders in which the labels say what comes when.
BY_LABEL = ("class_sorted", "correlated")


def asked(step: ProbeAdaptation | Adapt) -> tuple[tuple[Method, ...], tuple[Stream, ...]]:
    """The methods and the streams of ``step``."""
    if isinstance(step, ProbeAdaptation):
        return step.methods, step.streams
    return (step.method,), (step.stream,)


def corrupted(step: ProbeAdaptation | Adapt | Auto) -> bool:
    """Whether a domain of ``step`` is a corruption."""
    if isinstance(step, Auto):
        return any(domain.corruption for domain in step.shifts)
    return any(domain.corruption for stream in asked(step)[1] for domain in stream.domains)


def check_stream(step: Adapt, source: Source, halves: Split) -> None:
    """Raise where the examples cannot come as the stream of ``step`` has them."""
    if step.stream.order in BY_LABEL and source.labels is None:
        raise UsageError(
            f"{source.name} has no labels, by which a stream in the order {step.stream.order} is made; give labelled "
            "data, or the order shuffled."
        )
    if corrupted(step) and (reason := obstacle(source, int(halves.calibration[0]))):
        raise DataError(f"{source.name} cannot be corrupted: {reason}.")


def check_methods_(model: nn.Module, recipe: Recipe, classes: int, first: Tensor) -> None:
    """Let each method take one step on the inputs ``first``, and raise what stands in its way.

    ``model``, which is changed, gets the kinds of layers that it would have where the step stands.
    """
    context = Context(classes, lambda: [first])
    for step in recipe.steps:
        if isinstance(step, ProbeAdaptation | Adapt):
            for method in asked(step)[0]:
                Adapted(model, method, context, collapse=None).step(first)
        weighing = step.method if isinstance(step, Adapt) else step
        if isinstance(weighing, SetAlpha | SearchAlpha | LabelFreeAlpha | IEW):
            model = weigh_examples_(model, select(find_sites(model), weighing.sites), 1.0)
