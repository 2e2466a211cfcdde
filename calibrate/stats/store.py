"""Storing statistics in a layer, and taking them back."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

#: Running mean and running variance.
Stored = tuple[Tensor, Tensor]


def stored(layer: nn.Module) -> Stored:
    """The running mean and variance of ``layer``, themselves and not copies."""
    return layer.get_buffer("running_mean"), layer.get_buffer("running_var")


def store_(layer: nn.Module, mean: Tensor, variance: Tensor) -> None:
    """Give ``layer`` the running statistics ``mean`` and ``variance`` (C,), rounded to its own type."""
    for buffer, values in zip(stored(layer), (mean, variance), strict=True):
        buffer.copy_(values)


@contextmanager
def restored_on_failure(layers: Iterable[nn.Module]) -> Iterator[Mapping[nn.Module, Stored]]:
    """Copies of the statistics of ``layers``, which get them back where anything fails."""
    old = {layer: (stored(layer)[0].clone(), stored(layer)[1].clone()) for layer in layers}
    try:
        yield old
    except BaseException:
        for layer, (mean, variance) in old.items():
            store_(layer, mean, variance)
        raise
