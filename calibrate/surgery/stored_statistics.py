"""Layer statistics: the stored moments and parameters of normalisation layers, in a few numbers each."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from calibrate.nn import ExampleWeighed
from calibrate.result import LayerStatistics
from calibrate.steps import DEAD_VARIANCE
from calibrate.surgery.kinds import affine_of, eps_of
from calibrate.surgery.sites import Site


def layer_statistics(sites: Sequence[Site], positions: Mapping[str, int]) -> tuple[LayerStatistics, ...]:
    """The statistics of each site, computed in float64; ``positions`` are those of :class:`~calibrate.surgery.Look`.

    The median of an even number of variances is the mean of the middle two.

    >>> from torch import nn; from calibrate.surgery import find_sites
    >>> (layer,) = layer_statistics(find_sites(nn.Sequential(nn.BatchNorm1d(3))), {})
    >>> layer.variance_median, layer.dead, layer.gamma_drift, layer.beta_drift
    (1.0, 0.0, 0.0, 0.0)
    """
    return tuple(_describe(site, positions.get(site.name)) for site in sites)


def sound_channels(mean: Tensor, variance: Tensor) -> Tensor:
    """The channels (C,) whose statistics can be normalised by: neither NaN nor Inf, nor a negative variance.

    >>> sound_channels(torch.tensor([0.0, 0.0, torch.nan]), torch.tensor([1.0, -1.0, 1.0])).tolist()
    [True, False, False]
    """
    return mean.isfinite() & variance.isfinite() & (variance >= 0)


def _describe(site: Site, positions: int | None) -> LayerStatistics:
    layer: Any = site.module
    mean, variance = (_wide(getattr(layer, name, None)) for name in ("running_mean", "running_var"))
    gamma, beta = map(_wide, affine_of(layer))
    offset = None if mean is None or variance is None else mean.abs() / (variance + eps_of(layer)).sqrt()
    alpha = _wide(layer.alpha) if isinstance(layer, ExampleWeighed) else None
    return LayerStatistics(
        name=site.name,
        channels=site.channels,
        positions=positions,
        mean_offset=_mean(offset),
        variance_min=None if variance is None else _finite(variance.amin()),
        variance_median=None if variance is None else _finite(variance.quantile(0.5)),
        variance_max=None if variance is None else _finite(variance.amax()),
        dead=None if variance is None else _mean((variance < DEAD_VARIANCE).double()),
        gamma_mean=_mean(gamma),
        gamma_drift=None if gamma is None else _mean((gamma - 1).abs()),
        beta_drift=None if beta is None else _mean(beta.abs()),
        alpha=None if alpha is None else _mean(alpha),
    )


def _wide(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.detach().flatten().to("cpu", torch.float64)


def _mean(values: Tensor | None) -> float | None:
    return None if values is None else _finite(values.mean())


def _finite(value: Tensor) -> float | None:
    number = float(value)
    return number if isfinite(number) else None
