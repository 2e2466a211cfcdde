"""The moments of what goes into layers, pooled over every call while a network is at work."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from calibrate.stats.moments import Moments
from calibrate.surgery import watching


@contextmanager
def pooled_inputs(layers: Iterable[nn.Module]) -> Iterator[Mapping[nn.Module, Moments]]:
    """Watch ``layers`` and pool the moments of their inputs (N, C, *), call after call.

    A layer that is used in several places pools them all; one that is never called has no entry. The layers are left
    without the hooks on every exit.

    >>> import torch; layer = nn.GroupNorm(1, 2)
    >>> with pooled_inputs([layer]) as moments:
    ...     _ = [layer(torch.full((2, 2), value)) for value in (1.0, 3.0)]
    >>> moments[layer].mean.tolist(), moments[layer].variance.tolist()
    ([2.0, 2.0], [1.0, 1.0])
    """
    pooled: dict[nn.Module, Moments] = {}

    def pool(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        new = Moments.of(arguments[0].detach())
        pooled[layer] = pooled[layer].merge(new) if layer in pooled else new

    with watching(layers, before=pool):
        yield pooled
