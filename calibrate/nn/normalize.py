"""Normalize: centre, scale, and apply the affine parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor


def normalize(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Centre, scale and shift: y = γ(x − mean)/√(var + eps) + β, where None stands for γ = 1 or β = 0.

    Shapes: ``x`` (N, C, *), ``mean`` and ``var`` (N, C), ``weight`` and ``bias`` (C,); eps stands inside the square
    root. ``x`` is read once: it is multiplied by γ/√(var + eps), and the rest is one addend, as in BatchNorm's kernel,
    which is the one that runs, every (example, channel) being a channel of its own.
    """
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    if not x.is_contiguous() or x.numel() == 0:  # a view of it cannot be had
        per_example = (*scale.shape, *(1,) * (x.dim() - 2))
        return torch.addcmul(shift.reshape(per_example), x, scale.reshape(per_example))
    scale, shift = scale.flatten(), shift.flatten()
    zeros, ones = torch.zeros_like(scale), torch.ones_like(scale)
    y = F.batch_norm(x.view(1, len(scale), -1), zeros, ones, scale, shift, training=False, eps=0.0)
    return y.view_as(x)
