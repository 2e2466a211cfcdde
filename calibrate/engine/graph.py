"""The graph that a network is served as: what candidates share that differ in numbers only."""

from torch import nn

from calibrate.nn import ExampleWeighed
from calibrate.surgery import find_sites

FOLDED = "folded"


def graph_of(model: nn.Module) -> str:
    """A name of the graph: ``folded`` where no layer weighs examples, else at how many layers it does, and by what.

    >>> graph_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))
    'folded'
    """
    sites = find_sites(model)
    weighed = [site.module.alpha.dim() for site in sites if isinstance(site.module, ExampleWeighed)]
    if not weighed:
        return FOLDED
    kind = "α per channel" if any(weighed) else "α"
    return kind if len(weighed) == len(sites) else f"{kind} at {len(weighed)} of {len(sites)} layers"
