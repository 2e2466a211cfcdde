"""Sums of squares over many tensors, in float32 at least."""

from collections.abc import Iterable

import torch
from torch import Tensor


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
