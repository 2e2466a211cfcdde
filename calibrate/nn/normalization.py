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


def blend(var_a: Tensor, offset: Tensor, var_b: Tensor, weight_b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the mixture of two populations, the second with weight w, measured from the first mean.

    offset of the mixture = w·offset; variance = (1 − w)·var_a + w·var_b + w(1 − w)·offset².

    The moments are mixed, not the variances: the last term is what a plain mix of variances forgets. ``offset`` is
    mean_b − mean_a, taken as one number so that it keeps its digits where both means are large.
    All four broadcast against each other.
    """
    weight_a = 1 - weight_b
    return weight_b * offset, weight_a * var_a + weight_b * var_b + weight_b * weight_a * offset.square()
