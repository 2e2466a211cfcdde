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
        return mean, (x - mean).square().mean(positions, keepdim=True)
    return mean, (x.square().mean(positions, keepdim=True) - mean.square()).clamp_min(0)
