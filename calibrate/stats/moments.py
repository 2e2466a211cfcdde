"""Moments: count, mean and variance of each channel, pooled over any number of batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from calibrate.nn.normalization import blend

#: How many values are taken to float64 at once: 1 MiB of them.
AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The number of values in each channel, their mean and biased variance (÷n), (C,) each in float64.

    Reference: Chan, Golub & LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979.

    >>> x = torch.tensor([[1.0], [2.0], [6.0]])
    >>> pooled = Moments.of(x[:1]).merge(Moments.of(x[1:]))
    >>> pooled.count, float(pooled.mean), round(float(pooled.variance), 6)
    (3, 3.0, 4.666667)
    """

    count: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, x: Tensor, precision: torch.dtype = torch.float64) -> Self:
        """The moments of each channel of ``x`` (N, C, *) over its examples and positions, of which there is one.

        Taken about the mean, which is found before, so that no digits are lost where it is many standard deviations.
        In another ``precision``, so are x − mean, its squares, and their sums over one example or a few.
        """
        over, count = (0, *range(2, x.dim())), x.numel() // x.shape[1]
        about = x.mean(over, dtype=torch.promote_types(x.dtype, torch.float32)).nan_to_num(0, 0, 0).to(precision)
        shift = about.view(-1, *(1,) * (x.dim() - 2))
        left = squares = torch.zeros_like(about, dtype=torch.float64)
        for part in in_small_parts(x):
            centred = part.to(precision) - shift
            left, squares = left + centred.sum(over), squares + centred.square_().sum(over)
        left = left / count
        variance = torch.addcmul(squares / count, left, left, value=-1).clamp_min_(0)
        return cls(count, about + left, variance)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both populations together; the variance between their means is part of it.

        However a population is split and ordered, merging gives the same up to rounding in float64.
        """
        count = self.count + other.count
        weight = torch.tensor(other.count / count, dtype=torch.float64, device=self.mean.device)
        offset, variance = blend(self.variance, other.mean - self.mean, other.variance, weight)
        return Moments(count, self.mean + offset, variance)


def in_small_parts(x: Tensor, values: int = AT_ONCE) -> Iterable[Tensor]:
    """``x`` (N, C, *), on the CPU as few examples at a time as have that many values: so copies stay in the cache."""
    return x.split(max(1, values // max(x.shape[1:].numel(), 1))) if x.is_cpu and len(x) else (x,)
