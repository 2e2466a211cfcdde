"""Borrowing: what a measurement changes in a network for a while, and always gives back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from calibrate.nn import ExampleWeighedBatchNorm


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module of ``model`` in evaluation mode; each gets its own mode back on every exit."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def keeping_alpha(layers: Iterable[ExampleWeighedBatchNorm]) -> Iterator[None]:
    """Let α be changed freely inside; every layer gets its own α back on every exit."""
    kept = [(layer, layer.alpha.clone()) for layer in layers]
    try:
        yield
    finally:
        for layer, alpha in kept:
            layer.alpha = alpha
