"""Moments: the mean and variance of each example's channels, over its positions."""

import torch
from torch import Tensor


def example_moments(x: Tensor, *, two_pass: bool) -> tuple[Tensor, Tensor]:
    """Mean m and biased variance v of each (example, channel) over the positions of ``x``.

    ``two_pass``: v = E[(x − m)²], safe for any ``x``. Otherwise v = E[x²] − m², one pass less, for an ``x`` that is
    centred well enough for the square of its mean not to swamp its variance.

    Shapes: ``x`` (N, C, *), m and v (N, C, 1…). Without positions, or with one, v = 0.
    """
    positions = tuple(range(2, x.dim()))
    if x.shape[2:].numel() == 1:
        return x, torch.zeros_like(x)
    mean = x.mean(positions, keepdim=True)
    if two_pass:
        return mean, _mean_square(x - mean, positions)
    return mean, (_mean_square(x, positions) - mean.square()).clamp_min(0)


def _mean_square(x: Tensor, positions: tuple[int, ...]) -> Tensor:
    """E[x²] over ``positions``, without writing x² anywhere."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=positions, keepdim=True)
    return norm.square() / x.shape[2:].numel()
