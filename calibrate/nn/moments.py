"""Moments: mean and biased variance of each example, and of parts pooled into one population."""

import torch
from torch import Tensor

ChannelMoments = tuple[Tensor, Tensor]


def instance_moments(x: Tensor) -> ChannelMoments:
    """Mean and biased variance of each example's channels over their positions.

    Shapes: ``x`` (N, C, *), both moments (N, C). Where there are no positions the mean is x and the variance 0.
    """
    if x.dim() == 2:
        return x, torch.zeros_like(x)
    var, mean = torch.var_mean(x, tuple(range(2, x.dim())), correction=0)
    return mean, var


def pool(mean: Tensor, var: Tensor, dim: int = 0) -> ChannelMoments:
    """Moments of the union of parts of one size that lie along ``dim``.

    variance = mean of the variances + variance of the means: nothing is subtracted, so no digits are lost.
    """
    between, pooled_mean = torch.var_mean(mean, dim, correction=0)
    return pooled_mean, var.mean(dim) + between


def centre(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Moments of each channel over examples and positions, and what is left of ``x`` (N, C, *) without the mean.

    Gives a first mean m (C,), the mean left of x − m, the biased variance (C,), and x − m, which is a new map. Taken in
    two passes, so that no digits are lost where the mean is many standard deviations. On the CPU,
    where ``x`` is contiguous, a third of the time of BatchNorm's kernel.
    """
    over = (0, *range(2, x.dim()))
    mean = x.mean(over)
    centred = x - _per_channel(mean, x)
    left = centred.mean(over)
    if x.dim() > 2 and x.is_contiguous():
        norms = torch.linalg.vector_norm(centred, dim=over[1:])
        squares = norms.square_().sum(0) / (x.numel() // x.shape[1])
    else:
        squares = centred.square().mean(over)
    return mean, left, squares.addcmul_(left, left, value=-1).clamp_min_(0), centred


def affine_(x: Tensor, mean: Tensor, factor: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Make ``x`` (N, C, *) γ(x − mean)·factor + β, all of them (C,), in its place."""
    scale = factor * weight
    return x.mul_(_per_channel(scale, x)).add_(_per_channel(torch.addcmul(bias, mean, scale, value=-1), x))


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *(1,) * (x.dim() - 2))


def pool_blocks(mean: Tensor, var: Tensor, size: int, values: int) -> ChannelMoments:
    """Moments of blocks of ``size`` examples in a row, each given to every example of its block.

    What is left over is a block of its own; where that would be fewer than 2 values (a moment of one example is over
    ``values``), it joins the block before. Shapes: (N, K) in and out.

    Raises ValueError for a block of one value, whose variance is 0.

    >>> pool_blocks(torch.tensor([[1.0], [3.0], [8.0]]), torch.zeros(3, 1), 2, values=4)[0].flatten()
    tensor([2., 2., 8.])
    """
    count = len(mean)
    if min(size, count) * values < 2:
        raise ValueError(
            f"a block of {min(size, count)} example has one value per channel here, and no variance; give blocks of 2 "
            "examples or more"
        )
    whole = count - count % size
    if 0 < (count - whole) * values < 2:
        whole -= size
    parts = []
    if whole:
        pooled = pool(mean[:whole].unflatten(0, (-1, size)), var[:whole].unflatten(0, (-1, size)), 1)
        parts.append([moment.repeat_interleave(size, 0) for moment in pooled])
    if whole < count:
        parts.append([moment.expand(count - whole, -1) for moment in pool(mean[whole:], var[whole:])])
    means, variances = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(variances)
