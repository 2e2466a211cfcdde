"""Swapping layers in a network: all of them, under all their names, or none."""

from collections.abc import Iterable

from torch import nn

from calibrate.surgery.kinds import weighed
from calibrate.surgery.sites import Site


def weigh_examples_(model: nn.Module, sites: Iterable[Site], alpha: float) -> nn.Module:
    """Give every one of ``sites`` the weight ``alpha``, replacing layers that have none where they stand.

    The new layers share the old ones' parameters, statistics and mode, so that state-dict keys and ties stay; the
    state dict gains ``<site>.alpha``. Returns the network: ``model`` itself, unless it is a lone layer.
    """
    layers = {site: weighed(site.module) for site in sites}
    for site, layer in layers.items():
        layer.alpha = alpha  # type: ignore[assignment]
        model = replace_(model, site, layer)
    return model


def replace_(model: nn.Module, site: Site, layer: nn.Module) -> nn.Module:
    """Put ``layer`` where ``site`` is, under all its names. Returns ``model``, or ``layer`` where that was all."""
    if layer is site.module:
        return model
    for name in site.names:
        if not name:
            return layer
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer)
    return model
