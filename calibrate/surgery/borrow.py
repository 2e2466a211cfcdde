"""Borrowing: what a measurement changes in a network for a while, and always gives back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


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
def normalising_by_batch(layers: Iterable[_BatchNorm]) -> Iterator[None]:
    """Let ``layers`` normalise by the statistics of the batch, as in training, and track none of them."""
    modes = [(layer, layer.training, layer.track_running_stats) for layer in layers]
    try:
        for layer, _, _ in modes:
            layer.training, layer.track_running_stats = True, False
        yield
    finally:
        for layer, training, tracks in modes:
            layer.training, layer.track_running_stats = training, tracks
