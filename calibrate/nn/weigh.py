"""Weigh: normalise each example by its own moments with weight α, by the running ones with weight 1 − α."""

import torch
from torch import Tensor

from calibrate.nn.blend import blend
from calibrate.nn.normalize import normalize

#: Above this α the blend may be so much narrower than the running statistics that subtracting its mean after scaling
#: loses digits, so it is subtracted first. In a graph, which takes the variance as E[x²] − E[x]², it is a second pass:
#: the cancellation there is at most 1/(1 − α)-fold, however far the example is from the running mean.
ONE_PASS_ALPHA = 0.9


def weigh(
    x: Tensor,
    moments: tuple[Tensor, Tensor],
    alpha: Tensor,
    affine: tuple[Tensor | None, Tensor | None],
    eps: float,
    *,
    two_pass: bool,
    centred: bool,
) -> Tensor:
    """``x`` normalised by the blend of its own moments and the running ``moments``, in float32 at least.

    ``two_pass``: the largest α is above ``ONE_PASS_ALPHA``. ``centred``: the running mean is 0, and need not be
    subtracted before the example's moments are taken; only an exported graph does that.

    The example's moments come from the kernel of group normalisation with a channel a group: it keeps its digits
    wherever the mean is, and gives 1/√(v + eps), so that all that is added is positive::

        σ² + eps = (1 − α)(rv + eps) + α(v + eps) + α(1 − α)(m − rm)²

    Other programs do not put out that kernel's moments, so what is exported takes them in plain operations.

    Shapes: ``x`` (N, C, *); the moments, weight and bias (C,), ``alpha`` also (). None is a weight of 1, a bias of 0.
    """
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    mean, var, alpha = (t.to(values.dtype) for t in (*moments, alpha))
    weight, bias = (None if t is None else t.to(values.dtype) for t in affine)
    if torch.compiler.is_exporting():
        return _in_plain_operations(values, mean, var, alpha, weight, bias, eps, two_pass, centred).to(x.dtype)
    count, channels, positions = len(x), x.shape[1], x.shape[2:].numel()
    _, own_mean, own_rstd = torch.native_group_norm(values, None, None, count, channels, positions, channels, eps)
    _, var = blend(var + eps, own_mean - mean, own_rstd.pow(-2), alpha)
    mean = torch.lerp(mean, own_mean, alpha)
    if two_pass or positions == 1:
        values = values - mean.reshape(*mean.shape, *(1,) * (x.dim() - 2))
        mean = torch.zeros_like(mean)
    return normalize(values, mean, var, weight, bias, 0.0).to(x.dtype)


def _in_plain_operations(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    alpha: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    two_pass: bool,
    centred: bool,
) -> Tensor:
    """The formula in operations that every exporter knows, around the running mean."""
    per_channel = (-1, *(1,) * (x.dim() - 2))
    deviation = x if centred else x - mean.reshape(per_channel)
    alpha = alpha.expand(x.shape[1]).reshape(per_channel)
    var = var.reshape(per_channel)
    own_mean = _over_positions(deviation)
    offset = alpha * own_mean
    if two_pass:  # the example's own mean is the nearer one to centre on
        deviation = deviation - own_mean
        _, var = blend(var + eps, own_mean, _over_positions(deviation * deviation) + eps, alpha)
        offset = offset - own_mean
    else:  # what does not depend on the example stands together, to be one number
        var = ((1 - alpha) * var + eps) + alpha * _over_positions(deviation * deviation) - offset * offset
    scale = torch.rsqrt(var) if weight is None else weight.reshape(per_channel) / torch.sqrt(var)
    shift = -offset * scale if bias is None else bias.reshape(per_channel) - offset * scale
    return deviation * scale + shift


def _over_positions(x: Tensor) -> Tensor:
    positions = tuple(range(2, x.dim()))
    return x.mean(positions, keepdim=True) if positions else x
