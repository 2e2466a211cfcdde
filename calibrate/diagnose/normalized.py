"""Normalised values: where (x − mean)/√(variance + eps) lies, before γ and β, and how much of it lies far out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from calibrate.nn import BatchGroupNorm, ExampleWeighed
from calibrate.nn.moments import instance_moments
from calibrate.nn.normalization import blend
from calibrate.page.words import NotFinite
from calibrate.stats import Moments
from calibrate.steps import LayerBound, LayerHealth
from calibrate.surgery import Site, eps_of, keeping_statistics, sound_channels

#: What a probe says of one layer.
L = TypeVar("L", LayerHealth, LayerBound)


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """Over ``count`` values of each channel: the lowest, the highest and how many lie outside a limit, (C,) each."""

    count: int
    low: Tensor
    high: Tensor
    outside: Tensor

    @classmethod
    def of(cls, x: Tensor, mean: Tensor, deviation: Tensor, limit: float) -> Self:
        """The extent of (x − mean)/deviation; what is outside has an absolute value above ``limit``, or is no number.

        Shapes: ``x`` (N, C, *), of which only channels that reach beyond the limit are widened; ``mean`` and
        ``deviation`` (N, C) or (1, C), float64.

        >>> x = torch.tensor([[0.0], [3.0], [-2.0]])
        >>> found = Extent.of(x, torch.tensor([[1.0]]).double(), torch.tensor([[1.0]]).double(), limit=2.0)
        >>> found.count, float(found.low), float(found.high), int(found.outside)
        (3, -3.0, 2.0, 1)
        """
        positions = tuple(range(2, x.dim()))
        ends = (x.amin(positions), x.amax(positions)) if positions else (x, x)
        low, high = ((end.double() - mean) / deviation for end in ends)
        low, high = low.amin(0), high.amax(0)
        outside = torch.zeros(x.shape[1], dtype=torch.int64, device=x.device)
        beyond = ((low < -limit) | (high > limit) | low.isnan() | high.isnan()).nonzero().flatten()
        if len(beyond):
            middle, reach = (
                values[:, beyond].reshape(-1, len(beyond), *(1,) * len(positions))
                for values in (mean, limit * deviation)
            )
            inside = (x[:, beyond].double() - middle).abs() <= reach
            outside[beyond] = (~inside).sum((0, *positions))
        return cls(x.numel() // x.shape[1], low, high, outside)

    def merge(self, other: "Extent") -> "Extent":
        """The extent of both together."""
        return Extent(
            self.count + other.count,
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
            self.outside + other.outside,
        )

    @property
    def span(self) -> tuple[float, float] | None:
        """The lowest and the highest of all channels; None where a value is no number, or infinite."""
        low, high = self.low.amin(), self.high.amax()
        return (float(low), float(high)) if bool(low.isfinite() & high.isfinite()) else None


def has_finite_statistics(layer: nn.Module) -> bool:
    """Whether no running statistic of ``layer`` is NaN, Inf, or a negative variance."""
    norm: Any = layer
    return bool(sound_channels(norm.running_mean, norm.running_var).all())


def not_finite(layer: nn.Module, seen: Moments) -> NotFinite:
    """What is not finite: the running statistics of ``layer``, or else the moments of its inputs, ``seen``."""
    if not has_finite_statistics(layer):
        return "statistics"
    return "" if bool((seen.mean.isfinite() & seen.variance.isfinite()).all()) else "inputs"


def emptied(layers: tuple[L, ...], numbers: Sequence[str]) -> tuple[L, ...]:
    """``layers``; where the statistics of one are not finite, those that get NaN from it are without ``numbers``."""
    if not any(layer.not_finite == "statistics" for layer in layers):
        return layers
    nothing = dict.fromkeys(numbers)
    return tuple(layer.model_copy(update=nothing) if layer.not_finite == "inputs" else layer for layer in layers)


def normalising_by_channel(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The sites that normalise each channel by running statistics of its own."""
    return tuple(
        site
        for site in keeping_statistics(sites)
        if not (site.is_group_norm or isinstance(site.module, BatchGroupNorm))
    )


def inference_statistics(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and √(variance + eps) by which ``layer`` normalises ``x`` (N, C, *) in inference, in float64.

    They are the running ones, (1, C), or where the layer weighs examples the mixture with each example's own, (N, C).
    """
    norm: Any = layer
    mean, variance = norm.running_mean.double()[None], norm.running_var.double()[None]
    if isinstance(norm, ExampleWeighed) and bool(norm.alpha.any()):
        own_mean, own_variance = instance_moments(x.double())
        offset, variance = blend(variance, own_mean - mean, own_variance, norm.alpha.double())
        mean = mean + offset
    return mean, (variance + eps_of(layer)).sqrt()
