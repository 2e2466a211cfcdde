"""Swapping layers in a network: all of them, under all their names, or none."""

from collections.abc import Iterable

from torch import nn

from calibrate.surgery.copying import copied
from calibrate.surgery.kinds import is_normalization, weighed
from calibrate.surgery.layer_traits import is_ours
from calibrate.surgery.sites import Site


def weigh_examples_(model: nn.Module, sites: Iterable[Site], alpha: float) -> nn.Module:
    """Give every one of ``sites`` the weight ``alpha``, replacing layers that have none where they stand.

    The new layers share the old ones' parameters, statistics, mode and forward hooks, so that state-dict keys and ties
    stay; the state dict gains ``<site>.alpha``. Returns the network: ``model`` itself, unless it is a lone layer.
    """
    layers = {site: weighed(site.module) for site in sites}
    for site, layer in layers.items():
        layer.alpha = alpha  # type: ignore[assignment]
        _share_hooks_(layer, site.module)
        model = replace_(model, site, layer)
    return model


def _share_hooks_(layer: nn.Module, replaced: nn.Module) -> None:
    """Let ``layer`` have the forward hooks of what it takes the place of, which see, or change, what comes and goes.

    Ours stay behind: whoever set one looks after it.
    """
    kinds = ("_forward_pre_hooks", "_forward_hooks")
    theirs = {key for kind in kinds for key, hook in getattr(replaced, kind).items() if not is_ours(hook)}
    for name in vars(replaced):
        if name.startswith(kinds):
            held = getattr(layer, name)
            held.update({key: value for key, value in getattr(replaced, name).items() if key in theirs})


def replace_(model: nn.Module, site: Site, layer: nn.Module) -> nn.Module:
    """Put ``layer`` where ``site`` stands, under all its names; the network, or ``layer`` if the site is all of it."""
    if layer is site.module:
        return model
    for name in site.names:
        if not name:
            return layer
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer)
    return model


def share_weights(model: nn.Module) -> nn.Module:
    """A copy of ``model`` that has the normalisation layers' tensors and all buffers to itself, and shares the others.

    It is for work that changes normalisation only: many such copies take the memory of one network.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> other = share_weights(network)
    >>> other[0].weight is network[0].weight, other[1].weight is network[1].weight
    (True, False)
    """
    own = {id(p) for module in model.modules() if is_normalization(module) for p in module.parameters()}
    return copied(model, {id(p): p for p in model.parameters() if id(p) not in own})
