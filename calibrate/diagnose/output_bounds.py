"""Output bound: how far the output of batch normalisation can go in training, and how far it goes in inference."""

from collections.abc import Iterable, Sequence
from math import ceil, inf, sqrt
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.diagnose.normalized import (
    Extent,
    emptied,
    has_finite_statistics,
    inference_statistics,
    normalising_by_channel,
)
from calibrate.nn import BatchNormVariant
from calibrate.stats import Batches, Moments, as_batches
from calibrate.steps import LayerBound
from calibrate.surgery import Site, SiteChoice, chosen_sites, evaluating, normalising_by_batch, put_out, watching


def bound(elements: int) -> float:
    """√(M − 1): how far a value can be from 0 once normalised by the moments of the M ``elements`` that it is one of.

    For x₁ of M numbers with mean 0, x₁ = −(x₂ + … + x_M), so x₁² ≤ (M − 1)(x₂² + … + x_M²) by Cauchy and Schwarz. With
    (M − 1)x₁² on both sides, M·x₁² ≤ (M − 1)·M·variance. eps only makes x₁/√(variance + eps) smaller, and without it
    one outlier among M − 1 equal numbers attains the bound.

    >>> [round(bound(elements), 3) for elements in (1, 2, 4, 8, 32, 128)]
    [0.0, 1.0, 1.732, 2.646, 5.568, 11.269]
    """
    return sqrt(elements - 1)


def trains_by_batch(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether ``module`` normalises by the mean and biased variance of the batch in training; torch refuses eps = 0."""
    return isinstance(module, _BatchNorm) and not isinstance(module, BatchNormVariant) and module.eps > 0


def bounded(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The sites that normalise by the batch in training and by running statistics in inference.

    Frozen layers never do the former, and layers with a training rule of their own do it in another way.
    """
    return tuple(site for site in normalising_by_channel(sites) if trains_by_batch(site.module))


def output_bound(
    model: nn.Module,
    batches: Iterable[Tensor | Sequence[Tensor]] | Batches,
    sites: SiteChoice = None,
    train_batch_size: int = 128,
) -> tuple[LayerBound, ...]:
    """What each of the ``bounded`` sites puts out before γ and β, in training and in inference, in the order of calls.

    With M elements per statistic, training puts out β ± |γ|√(M − 1) at most; M is ``train_batch_size`` times the
    positions of the call. Each batch goes through the network in evaluation mode, and again with all batch
    normalisation by the statistics of the batch, the rest in evaluation mode, if it has ``train_batch_size`` examples.
    A layer that is called several times pools its calls, each under its own bound; one that is never called is left
    out. Nothing is stored in the network.
    Cost: two passes.
    Limits: in training, torch takes no statistic of one element.
    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, Eq. 2, §A and §B.

    >>> from calibrate.stats import IterableBatches; from calibrate.surgery import find_sites
    >>> network = nn.Sequential(nn.BatchNorm1d(1, eps=1e-9))
    >>> examples = IterableBatches([torch.tensor([[0.0], [0.0], [0.0], [4.0]])], None)
    >>> (layer,) = output_bound(network, examples, find_sites(network), train_batch_size=4)
    >>> round(layer.bound, 3), round(layer.training[1], 3), round(layer.inference[1], 3), layer.outside
    (1.732, 1.732, 4.0, 0.25)
    """
    sites = chosen_sites(model, sites, bounded)
    layers = {site.module: site for site in sites}
    by_batch = [module for module in model.modules() if trains_by_batch(module)]
    examples, training = 0, False
    positions: dict[nn.Module, int] = {}
    inferred: dict[nn.Module, Extent] = {}
    trained: dict[nn.Module, Extent] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        x = arguments[0].detach()
        if training:
            own = Moments.of(x)
            statistics = own.mean[None], (own.variance + layer.eps).sqrt()[None]  # type: ignore[operator]
            new, extents = Extent.of(x, *statistics, inf), trained
        else:
            here = max(1, x.numel() // (x.shape[1] * examples))
            positions[layer] = min(here, positions.get(layer, here))
            limit = bound(train_batch_size * here)
            new, extents = Extent.of(x, *inference_statistics(layer, x), limit), inferred
        extents[layer] = extents[layer].merge(new) if layer in extents else new

    with watching(layers, before=watch), evaluating(model), torch.inference_mode():
        for _, x in as_batches(batches).after(0):
            examples, training = len(x), False
            put_out(model, x)
            if examples == train_batch_size:
                training = True
                with normalising_by_batch(by_batch):
                    put_out(model, x)
    described = (
        _described(layers[layer], train_batch_size, positions[layer], extent, trained.get(layer))
        for layer, extent in inferred.items()
    )
    return emptied(tuple(described), ("outside", "channels_outside"))


def _described(site: Site, batch: int, positions: int, inferred: Extent, trained: Extent | None) -> LayerBound:
    sound = has_finite_statistics(site.module)
    span = inferred.span if sound else None
    reach = None if span is None else max(-span[0], span[1])
    return LayerBound(
        name=site.name,
        channels=site.channels,
        elements=batch * positions,
        bound=bound(batch * positions),
        training=None if trained is None else trained.span,
        inference=span,
        outside=float(inferred.outside.double().mean()) / inferred.count if sound else None,
        channels_outside=int((inferred.outside > 0).sum()) if sound else None,
        not_finite="statistics" if not sound else "" if inferred.span is not None else "inputs",
        sufficient_batch=None if reach is None else ceil((1 + reach * reach) / positions),
    )
