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
