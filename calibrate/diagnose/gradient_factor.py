"""Gradient factor: what batch normalisation multiplies the gradient by on its way back."""

from typing import Any

import torch
from torch import Tensor, nn


def gradient_factor(layer: nn.Module) -> Tensor:
    """γ/√(rv + eps) of each channel (C,), in float64; γ is 1 for a layer without.

    In training the batch's variance stands in the place of rv, which is its running mean.
    Reference: Davis & Frank, Revisiting Batch Normalization, 2021, Eq. 20.

    >>> layer = nn.BatchNorm1d(2, eps=1.0)
    >>> layer.running_var.copy_(torch.tensor([3.0, 8.0]))
    tensor([3., 8.])
    >>> gradient_factor(layer)
    tensor([0.5000, 0.3333], dtype=torch.float64)
    """
    norm: Any = layer
    variance: Tensor = norm.running_var.detach().double()
    gamma: Tensor = torch.ones_like(variance) if norm.weight is None else norm.weight.detach().double()
    deviation: Tensor = (variance + norm.eps).sqrt()
    return gamma / deviation
