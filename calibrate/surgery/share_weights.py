"""Sharing weights: copies of a network that differ in their normalisation alone."""

import copy

from torch import nn

from calibrate.surgery.kinds import is_normalisation


def share_weights(model: nn.Module) -> nn.Module:
    """A copy of ``model`` that has the normalisation layers' tensors and all buffers to itself, and shares the others.

    It is for work that changes normalisation only: many such copies take the memory of one network.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> other = share_weights(network)
    >>> other[0].weight is network[0].weight, other[1].weight is network[1].weight
    (True, False)
    """
    own = {id(p) for module in model.modules() if is_normalisation(module) for p in module.parameters()}
    return copy.deepcopy(model, {id(p): p for p in model.parameters() if id(p) not in own})
