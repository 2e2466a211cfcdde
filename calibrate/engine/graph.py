"""The graph that a network is served as: what candidates share that differ in numbers only."""

from collections.abc import Mapping

from torch import nn

from calibrate.nn import ExampleWeighed
from calibrate.surgery import find_sites

#: The graph of a network whose layers weigh no example: what it was when it came.
FOLDED = "folded"


def graphs_of(models: Mapping[str, nn.Module]) -> dict[str, str]:
    """The name of each model's graph: the same for two whose layers weigh examples in the same places, by as many α's.

    >>> graphs_of({"plain": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))})
    {'plain': 'folded'}
    """
    names: dict[tuple[tuple[str, int], ...], str] = {(): FOLDED}
    return {label: names.setdefault(key, _name(model, key, names)) for label, model, key in _keys(models)}


def _keys(models: Mapping[str, nn.Module]) -> list[tuple[str, nn.Module, tuple[tuple[str, int], ...]]]:
    return [(label, model, _key(model)) for label, model in models.items()]


def _key(model: nn.Module) -> tuple[tuple[str, int], ...]:
    """The layers at which examples have weight, and the dimensions of α there."""
    return tuple(
        (site.name, site.module.alpha.dim())
        for site in find_sites(model)
        if isinstance(site.module, ExampleWeighed) and bool((site.module.alpha != site.module.plain_alpha).any())
    )


def _name(model: nn.Module, key: tuple[tuple[str, int], ...], taken: Mapping[tuple[tuple[str, int], ...], str]) -> str:
    layers = len(find_sites(model))
    kind = "α per channel" if any(dim for _, dim in key) else "α"
    name = kind if len(key) == layers else f"{kind} at {len(key)} of {layers} layers"
    same = sum(other == name or other.startswith(f"{name} (") for other in taken.values())
    return f"{name} ({same + 1})" if same else name
