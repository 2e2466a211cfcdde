"""The penalty: what is added to the loss of each batch.

One is made of the network as it starts, after layers and head are in their places and on their device. Then::

    with ExitStack() as borrowed:
        for penalty in penalties:
            borrowed.enter_context(penalty.watching())
        for x, y in batches:
            loss = F.cross_entropy(model(x), y) + sum(penalty() for penalty in penalties)

A penalty on features borrows hooks while it is watched, gathers what the last call of the network made, and gives the
hooks back on every exit. None has a state that changes, so there is nothing to resume.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor


class Penalty(Protocol):
    """Something to add to the loss; inherit from it, or have the same two methods."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Gather meanwhile what the penalty needs of each call of the network; nothing for one on parameters."""
        yield

    def __call__(self) -> Tensor:
        """The penalty () with its gradient, float32 or wider, for the parameters as they are and the last batch."""
        ...


def sum_of_squares(pairs: Iterable[tuple[Tensor, Tensor | float]]) -> Tensor:
    """Σ ‖a − b‖² over ``pairs``, as a tensor (); 0 for none.

    >>> sum_of_squares([(torch.tensor([1.0, 2.0]), 1.0), (torch.tensor([3.0]), torch.tensor([0.0]))])
    tensor(10.)
    """
    squares = [(wide(a) - (wide(b) if isinstance(b, Tensor) else b)).square().sum() for a, b in pairs]
    return torch.stack(squares).sum() if squares else torch.zeros(())


def wide(x: Tensor) -> Tensor:
    """``x`` in float32, or wider if it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
