"""The optimizer that a method's settings ask for."""

from collections.abc import Iterable

import torch
from torch import nn

from calibrate.recipe.adapters import SGD, Adam


def optimizer(settings: Adam | SGD, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """A fresh optimizer of ``parameters``."""
    if isinstance(settings, Adam):
        return torch.optim.Adam(parameters, lr=settings.lr)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum)
