"""Normalize: centre, scale, and apply the affine parameters."""

import torch
from torch import Tensor


def normalize(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Centre, scale and shift: y = γ(x − mean)/√(var + eps) + β, where None stands for γ = 1 or β = 0.

    Everything broadcasts against ``x``; eps stands inside the square root. ``x`` is read once: it is multiplied by
    γ/√(var + eps), and the rest is one addend, so an ``x`` far from 0 should come centred.
    """
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return torch.addcmul(shift, x, scale)
