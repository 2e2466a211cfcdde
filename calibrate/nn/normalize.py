"""Normalize: centre, scale, and apply the affine parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor


def normalize(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Centre, scale and shift: y = γ(x − mean)/√(var + eps) + β, where None stands for γ = 1 or β = 0.

    Shapes: ``x`` (N, C, *); all others (C,) or (N, C), and eps stands inside the square root. ``x`` is read once, by
    BatchNorm's kernel, for which every (example, channel) is a channel of its own where they differ by example. The
    kernel takes the mean as a constant; its gradient goes through the shift, so that both come from centred values.
    """
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    centre = mean.detach()
    shift = (centre - mean) * scale
    if bias is not None:
        shift = shift + bias
    centre, scale, shift = torch.broadcast_tensors(centre, scale, shift)
    values = x
    if scale.dim() == 2:
        positions = x.shape[2:].numel()  # with one, x − mean may be 0, which the kernel's x·scale − mean·scale is not
        if torch.compiler.is_exporting() or not x.is_contiguous() or len(x) == 0 or positions <= 1:
            centre, scale, shift = (t.reshape(*t.shape, *(1,) * (x.dim() - 2)) for t in (centre, scale, shift))
            return torch.addcmul(shift, x - centre, scale)
        centre, scale, shift = (t.flatten() for t in (centre, scale, shift))
        values = x.view(1, len(scale), -1)
    y = F.batch_norm(values, centre, torch.ones_like(scale), scale, shift, training=False, eps=0.0)
    return y.view_as(x)
