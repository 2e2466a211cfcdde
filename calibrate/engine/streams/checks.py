"""What must hold before a stream is begun: data that can come in it, and a network that each method can adapt."""

from calibrate.adapt import Adapted, Context
from calibrate.data import Source, Split, obstacle
from calibrate.engine.handler import Given
from calibrate.errors import DataError, UsageError
from calibrate.steps import Adapt, ProbeAdaptation

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


def check_methods(step: ProbeAdaptation | Adapt, given: Given) -> None:
    """Let each method take one step on the first inputs, and raise what stands in its way."""
    context = Context(given.outputs, lambda: [given.first])
    for method in step.asked_methods:
        Adapted(given.model, method, context, collapse=None).step(given.first)
