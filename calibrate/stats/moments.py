"""Moments: count, mean and variance of each channel, pooled over any number of batches."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from calibrate.nn.normalization import blend


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
    def of(cls, x: Tensor) -> Self:
        """The moments of each channel of ``x`` (N, C, *) over its examples and positions, of which there is one."""
        variance, mean = torch.var_mean(x.double(), (0, *range(2, x.dim())), correction=0)
        return cls(x.numel() // x.shape[1], mean, variance)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both populations together; the variance between their means is part of it.

        However a population is split and ordered, merging gives the same up to rounding in float64.
        """
        count = self.count + other.count
        weight = torch.tensor(other.count / count, dtype=torch.float64, device=self.mean.device)
        offset, variance = blend(self.variance, other.mean - self.mean, other.variance, weight)
        return Moments(count, self.mean + offset, variance)
