"""The pool: moments of numbered examples, merged in one fixed tree, so that the order they came in leaves no trace."""

from collections.abc import Mapping
from functools import reduce
from typing import Self

import torch
from torch import Tensor

from calibrate.nn.normalization import blend
from calibrate.stats.moments import Moments, in_small_parts

#: How many values of examples are taken at once: few operations, whose results the cache may still hold.
PART = 1 << 21

#: A node of the tree: (level, place) stands for the examples place·2^level to (place + 1)·2^level − 1.
Node = tuple[int, int]


class Pool:
    """Moments of examples that are numbered from 0, by the widest nodes of a binary tree that are complete.

    Two neighbours merge as soon as both are there, the left one first, whoever came first. So the same examples give
    the same bits however they were split into batches, interrupted, or shared out between machines.
    Memory: one node for each of the log₂(n) levels where examples come in order.

    >>> pool = Pool.of(1, torch.tensor([[2.0], [6.0]])).merge(Pool.of(0, torch.tensor([[1.0]])))
    >>> sorted(pool.nodes), pool.examples, float(pool.total().mean)
    ([(0, 2), (1, 0)], 3, 3.0)
    """

    def __init__(self, nodes: Mapping[Node, Moments] | None = None) -> None:
        self._nodes: dict[Node, Moments] = dict(nodes or {})

    @classmethod
    def of(cls, first: int, x: Tensor) -> Self:
        """The pool of the examples ``x`` (N, C, *), the first of which has the number ``first``."""
        mean, variance = moments_by_example(x)
        half = torch.tensor(0.5, dtype=torch.float64, device=x.device)
        level, place, count = 0, first, x.shape[2:].numel()
        nodes: dict[Node, Moments] = {}
        while len(mean):
            if place % 2:
                nodes[level, place] = Moments(count, mean[0], variance[0])
                mean, variance, place = mean[1:], variance[1:], place + 1
            if len(mean) % 2:
                nodes[level, place + len(mean) - 1] = Moments(count, mean[-1], variance[-1])
                mean, variance = mean[:-1], variance[:-1]
            offset, variance = blend(variance[::2], mean[1::2] - mean[::2], variance[1::2], half)
            mean = mean[::2] + offset
            level, place, count = level + 1, place // 2, 2 * count
        return cls(nodes)

    @classmethod
    def of_batch(cls, first: int, x: Tensor) -> Self:
        """The pool of the same examples where each has the moments of all of ``x``: the same total, in fewer steps.

        For batches that stay together: split otherwise, the same examples give other bits. Values less their mean are
        squared and summed over some examples in the precision of ``x``, or float32, then in float64: of float32 the
        moments have the digits.

        >>> pool = Pool.of_batch(2, torch.tensor([[1.0], [2.0], [6.0]]))
        >>> [(node, moments.count, float(moments.mean)) for node, moments in pool.nodes.items()]
        [((1, 1), 2, 3.0), ((0, 4), 1, 3.0)]
        """
        moments = Moments.of(x, torch.promote_types(x.dtype, torch.float32))
        end, count = first + len(x), x.shape[2:].numel()
        nodes: dict[Node, Moments] = {}
        while first < end:
            level = (end - first).bit_length() - 1
            if first:
                level = min(level, (first & -first).bit_length() - 1)
            nodes[level, first >> level] = Moments(count << level, moments.mean, moments.variance)
            first += 1 << level
        return cls(nodes)

    @property
    def nodes(self) -> Mapping[Node, Moments]:
        """The complete nodes that no wider one contains."""
        return self._nodes

    @property
    def examples(self) -> int:
        """The number of examples."""
        return sum(1 << level for level, _ in self._nodes)

    def __contains__(self, example: int) -> bool:
        return any(example >> level == place for level, place in self._nodes)

    def merge(self, other: Self) -> Self:
        """The pool of both, which share no example."""
        both = type(self)(self._nodes)
        for node, moments in other.nodes.items():
            both._insert_(node, moments)
        return both

    def total(self) -> Moments:
        """The moments of all examples together."""
        by_example = sorted(self._nodes, key=lambda node: node[1] << node[0])
        return reduce(Moments.merge, (self._nodes[node] for node in by_example))

    def _insert_(self, node: Node, moments: Moments) -> None:
        level, place = node
        if place << level in self:
            raise ValueError(f"example {place << level} is in the pool already; number each example once")
        while (neighbour := (level, place ^ 1)) in self._nodes:
            other = self._nodes.pop(neighbour)
            moments = other.merge(moments) if place % 2 else moments.merge(other)
            level, place = level + 1, place // 2
        self._nodes[level, place] = moments


def moments_by_example(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (N, C) in float64 of each example's channels over their positions, in two passes.

    Each is the same to the last bit whatever other examples are in the batch, in either memory format. Values less
    their mean are squared and averaged in the precision of ``x``, or float32: of that the moments have the digits
    (relative to float64 up to 3e-7 in the variance, and in the mean 5e-8 standard deviations), or in float64 where that
    overflows. ``torch.var_mean`` takes 10 times as long.
    """
    if x.dim() == 2:
        return x.double(), torch.zeros_like(x, dtype=torch.float64)
    means, variances = zip(*map(_two_pass, in_small_parts(x, PART)), strict=True)
    return torch.cat(means), torch.cat(variances)


def _two_pass(x: Tensor) -> tuple[Tensor, Tensor]:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    values = wide.permute(0, 2, 3, 1).flatten(1, 2) if last else wide.flatten(2).transpose(1, 2)
    mean = values.mean(1)
    centred = values - mean[:, None]
    left = centred.mean(1).double()
    variance = (centred.square_().mean(1).double() - left.square()).clamp_min_(0)
    if wide.dtype == torch.float32 and not variance.isfinite().all():
        return _two_pass(x.double())
    return mean.double() + left, variance
