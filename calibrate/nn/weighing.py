"""Weigh: normalise each example by its own moments with weight α, by the running ones with weight 1 − α."""

import torch
import torch.nn.functional as F
from torch import Tensor

from calibrate.nn.weigh_onnx import weigh_in_onnx

#: Above this α the blend may be so much narrower than the running statistics that its variance, taken as
#: E[z²] − E[z]², loses digits, so an example is centred first, in a second pass: the cancellation below is at most
#: 1/(1 − α)-fold, however far the example is from the running mean.
ONE_PASS_ALPHA = 0.9


def weigh(
    x: Tensor,
    moments: tuple[Tensor, Tensor],
    alpha: Tensor,
    affine: tuple[Tensor | None, Tensor | None],
    eps: float,
    *,
    two_pass: bool,
) -> Tensor:
    """Normalise ``x`` by its own moments with weight α, by the running ``moments`` with weight 1 − α.

    The running ones come first, by BatchNorm's kernel, and each example is corrected then; see ``weigh_``.

    Shapes: ``x`` (N, C, *); the moments, weight and bias (C,), ``alpha`` also (). All are taken to float32 at least.
    """
    precision = torch.promote_types(x.dtype, torch.float32)
    mean, var, alpha = (t.to(precision) for t in (*moments, alpha))
    weight, bias = (None if t is None else t.to(precision) for t in affine)
    z = F.batch_norm(x.to(precision), mean, var, eps=eps)
    return weigh_(z, alpha, variance_floor(var, alpha, eps), weight, bias, two_pass=two_pass).to(x.dtype)


def variance_floor(var: Tensor, alpha: Tensor, eps: float) -> Tensor:
    """What the variance of a whitened channel never falls below: 1 − α + α·eps/(rv + eps).

    1 − α is the running statistics' share; the rest is the example's share of eps, whitened too.
    """
    return (1 - alpha) + alpha * (eps / (var + eps))


def weigh_(
    z: Tensor, alpha: Tensor, floor: Tensor, weight: Tensor | None, bias: Tensor | None, *, two_pass: bool
) -> Tensor:
    """Weigh the examples of ``z`` = (x − rm)/√(rv + eps), which is overwritten unless gradients are recorded.

    With m and q the mean and mean square of z over the positions of an example's channel::

        y = γ(z − αm)/√(floor + αq − α²m²) + β,    floor = 1 − α + α·eps/(rv + eps)

    which is (1 − α)(rv + eps) + α(v + eps) + α(1 − α)(m − rm)² of x, over rv + eps. ``two_pass``: q is taken about m,
    as it must be where the largest α is above ``ONE_PASS_ALPHA``.

    Shapes: ``z`` (N, C, *); ``floor``, ``weight`` and ``bias`` (C,), ``alpha`` also (), all of one dtype. None is a
    weight of 1, a bias of 0.
    """
    if torch.onnx.is_in_onnx_export() and z.dim() > 2 and z.dtype == torch.float32 and not two_pass:
        return weigh_in_onnx(z, alpha, floor, weight, bias)
    if torch.compiler.is_compiling():
        z, scale, shift = _affine(z, alpha, floor, weight, bias, two_pass)
        return z * scale + shift
    if z.dim() > 2 and not z.is_contiguous():  # channels_last, which the convolution that follows is quicker in
        z, scale, shift = _affine(z, alpha, floor, weight, bias, two_pass)
        return torch.addcmul(shift, z, scale, out=None if _recorded(z, scale, shift) else z)
    count, channels, positions = len(z), z.shape[1], z.shape[2:].numel()
    if count > 1:  # every (example, channel) is a channel of its own
        floor = floor.repeat(count)
        alpha = alpha.repeat(count) if alpha.dim() else alpha
        weight, bias = (None if t is None else t.repeat(count) for t in (weight, bias))
    flat = z.reshape(count * channels, positions)
    mean = _mean(flat)
    if two_pass:
        flat = flat - mean[:, None]
    norm = torch.linalg.vector_norm(flat, dim=1)
    var = torch.addcmul(floor, alpha * norm, norm, value=1 / positions)
    if two_pass:
        offset = (alpha - 1) * mean
        var = var.addcmul_(alpha * offset, mean, value=-1)
    else:
        offset = alpha * mean
        var = var.addcmul_(offset, offset, value=-1)
    return _normalize_(flat, offset, var, weight, bias).view(z.shape)


def _mean(flat: Tensor) -> Tensor:
    """The mean of each row; on the CPU a product is quicker than a sum and a division."""
    if not flat.is_cpu:
        return flat.mean(1)
    positions = flat.shape[1]
    return torch.mv(flat, flat.new_full((positions,), 1 / positions))


def _normalize_(flat: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """γ(flat − mean)/√var + β of ``flat`` (channels, positions), on the CPU in its place, by BatchNorm's kernel there.

    The kernel reads each number once, before it writes it, so that its output may be its input. A new map instead of it
    costs as much again, in pages of memory.
    """
    if _recorded(flat, var, weight, bias) or not flat.is_cpu or flat.numel() == 0:
        scale = torch.rsqrt(var) if weight is None else weight * torch.rsqrt(var)
        shift = -mean * scale if bias is None else bias - mean * scale
        return torch.addcmul(shift[:, None], flat, scale[:, None])
    view, unused = flat[None], flat.new_empty(0)
    torch.native_batch_norm(view, weight, bias, mean, var, False, 0.0, 0.0, out=(view, unused, unused))
    return flat


def _recorded(*tensors: Tensor | None) -> bool:
    """Whether a result of ``tensors`` gets a gradient, so that none of them may be overwritten."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _affine(
    z: Tensor, alpha: Tensor, floor: Tensor, weight: Tensor | None, bias: Tensor | None, two_pass: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What is left to do, z·scale + shift, in operations of every compiler, exporter and layout in memory."""
    per_channel = (-1, *(1,) * (z.dim() - 2))
    alpha, floor = alpha.expand(z.shape[1]).reshape(per_channel), floor.reshape(per_channel)
    mean = _over_positions(z)
    offset = alpha * mean
    if two_pass:
        z = z - mean
        var = floor + alpha * (_over_positions(z * z) + (mean - offset) * mean)
        offset = offset - mean
    else:
        var = (floor + alpha * _over_positions(z * z)) - offset * offset
    scale = torch.rsqrt(var) if weight is None else weight.reshape(per_channel) / torch.sqrt(var)
    shift = -offset * scale if bias is None else bias.reshape(per_channel) - offset * scale
    return z, scale, shift


def _over_positions(x: Tensor) -> Tensor:
    positions = tuple(range(2, x.dim()))
    return x.mean(positions, keepdim=True) if positions else x
