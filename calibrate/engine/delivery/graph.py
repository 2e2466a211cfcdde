"""The graph that a network is served as: what candidates share that differ in numbers only."""

from collections.abc import Collection, Mapping

from torch import nn

from calibrate.nn import ExampleWeighed
from calibrate.surgery import find_sites

#: The graph of a network whose layers weigh no example: what it was when it came.
FOLDED = "folded"

Key = tuple[tuple[str, int], ...]


def graphs_of(models: Mapping[str, nn.Module]) -> dict[str, str]:
    """The name of each model's graph: the same for two whose layers weigh examples in the same places, by as many α's.

    >>> graphs_of({"original": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))})
    {'original': 'folded'}
    """
    names: dict[Key, str] = {(): FOLDED}
    graphs = {}
    for label, model in models.items():
        key = _key(model)
        if key not in names:
            names[key] = _name(key, len(find_sites(model)), names.values())
        graphs[label] = names[key]
    return graphs


def _key(model: nn.Module) -> Key:
    """The layers at which examples have weight, and the dimensions of α there."""
    return tuple(
        (site.name, site.module.alpha.dim())
        for site in find_sites(model)
        if isinstance(site.module, ExampleWeighed) and bool((site.module.alpha != site.module.trained_alpha).any())
    )


def _name(key: Key, layers: int, taken: Collection[str]) -> str:
    kind = "α per channel" if any(dim for _, dim in key) else "α"
    name = kind if len(key) == layers else f"{kind} at {len(key)} of {layers} layers"
    same = sum(other == name or other.startswith(f"{name} (") for other in taken)
    return f"{name} ({same + 1})" if same else name
