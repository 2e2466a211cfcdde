"""Channel health: dead, silent, pruned and exploding channels, the drift of γ and β, and the gradient factor."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.diagnose.normalized import Extent, emptied, inference_statistics, normalising_by_channel, not_finite
from calibrate.stats import Batches, Moments, as_batches
from calibrate.steps import (
    DEAD_VARIANCE,
    DRIFT_BINS,
    EXPLODING_SHARE,
    FAR_OUT,
    PRUNED_GAMMA,
    GradientFactor,
    LayerHealth,
)
from calibrate.surgery import Site, SiteChoice, affine_of, chosen_sites, eps_of, evaluating, put_out, watching


def channel_health(
    model: nn.Module, batches: Iterable[Tensor | Sequence[Tensor]] | Batches, sites: SiteChoice = None
) -> tuple[LayerHealth, ...]:
    """The health of each of ``sites``, or of all that normalise by channel, on the examples of ``batches``.

    ``model`` is in evaluation mode; the layers are in the order of the calls. A layer that is called several times
    pools its calls, in float64; one that is never called is left out.
    Cost: one pass, with the moments about two plain passes in time.
    Reference: Davis & Frank, Revisiting Batch Normalization, 2021, §3.2 (values beyond 6σ) and Eq. 20.

    >>> from calibrate.stats import IterableBatches; from calibrate.surgery import find_sites
    >>> network = nn.Sequential(nn.BatchNorm1d(2))
    >>> examples = IterableBatches([torch.tensor([[1.0, 0.0], [-7.0, 0.0]])], None)
    >>> (layer,) = channel_health(network, examples, find_sites(network))
    >>> layer.dead, layer.silent, layer.exploding, layer.far_out, round(layer.furthest, 3)
    (0, 1, 1, 0.25, 7.0)
    """
    sites = chosen_sites(model, sites, normalising_by_channel)
    layers = {site.module: site for site in sites}
    seen: dict[nn.Module, tuple[Moments, Extent]] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0].detach()
        moments, extent = Moments.of(x), Extent.of(x, *inference_statistics(layer, x), FAR_OUT)
        if layer in seen:
            moments, extent = seen[layer][0].merge(moments), seen[layer][1].merge(extent)
        seen[layer] = moments, extent

    with watching(layers, before=watch), evaluating(model), torch.inference_mode():
        for _, x in as_batches(batches).after(0):
            put_out(model, x)
    return emptied(
        tuple(_health(layers[layer], *found) for layer, found in seen.items()),
        ("silent", "exploding", "far_out", "furthest"),
    )


def _health(site: Site, moments: Moments, extent: Extent) -> LayerHealth:
    layer: Any = site.module
    span, what = extent.span, not_finite(layer, moments)
    known = what != "statistics"
    weight, bias = affine_of(layer)
    return LayerHealth(
        name=site.name,
        channels=site.channels,
        not_finite=what,
        dead=_count(layer.running_var.double() < DEAD_VARIANCE) if known else None,
        silent=_count(moments.variance < DEAD_VARIANCE) if known else None,
        pruned=None if weight is None else _count(weight.abs().double() < PRUNED_GAMMA),
        exploding=_count(extent.outside > EXPLODING_SHARE * extent.count) if known else None,
        far_out=float(extent.outside.double().mean()) / extent.count if known else None,
        furthest=None if span is None or not known else max(-span[0], span[1]),
        gamma_drift=None if weight is None else _histogram((weight.double() - 1).abs()),
        beta_drift=None if bias is None else _histogram(bias.double().abs()),
        gradient_factor=_summary(gradient_factor(layer).abs()),
    )


def _count(channels: Tensor) -> int:
    return int(channels.sum())


def _histogram(drift: Tensor) -> tuple[int, ...]:
    """How many of ``drift`` (C,) fall into each of ``DRIFT_BINS``; what is no number falls into the last."""
    bins = torch.tensor(DRIFT_BINS, dtype=torch.float64, device=drift.device)
    places = torch.bucketize(drift.detach(), bins, right=True) - 1
    return tuple(torch.bincount(places, minlength=len(bins)).tolist())


def _summary(factors: Tensor) -> GradientFactor | None:
    """The ``factors`` (C,) in four numbers; None where one is infinite or no number."""
    lowest, median, mean, highest = (
        float(value) for value in (factors.amin(), factors.quantile(0.5), factors.mean(), factors.amax())
    )
    if not all(map(isfinite, (lowest, median, mean, highest))):
        return None
    return GradientFactor(lowest=lowest, median=median, mean=mean, highest=highest)


def gradient_factor(layer: nn.Module) -> Tensor:
    """γ/√(rv + eps) of each channel (C,), in float64; γ is 1 for a layer without.

    In training the batch's variance stands in the place of rv, which is its running mean.
    Reference: Davis & Frank, Revisiting Batch Normalization, 2021, Eq. 20.

    >>> layer = nn.BatchNorm1d(2, eps=1.0)
    >>> layer.running_var.copy_(torch.tensor([3.0, 8.0]))
    tensor([3., 8.])
    >>> gradient_factor(layer)
    tensor([0.5000, 0.3333], dtype=torch.float64)
    """
    norm: Any = layer
    variance: Tensor = norm.running_var.detach().double()
    weight, _ = affine_of(layer)
    gamma: Tensor = torch.ones_like(variance) if weight is None else weight.detach().double()
    deviation: Tensor = (variance + eps_of(layer)).sqrt()
    return gamma / deviation
