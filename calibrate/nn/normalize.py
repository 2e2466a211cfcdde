"""Normalize: centre, scale, and apply the affine parameters."""

import torch
from torch import Tensor


def normalize(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Centre, scale and shift: y = γ(x − mean)/√(var + eps) + β, where None stands for γ = 1 or β = 0.

    Everything broadcasts against ``x``; eps stands inside the square root.
    """
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    y = (x - mean) * scale
    return y if bias is None else y + bias
