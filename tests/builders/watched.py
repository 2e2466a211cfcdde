"""What layers are given, seen by hooks of the test's own."""

import copy
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.surgery import find_sites

#: Of each layer, by its first name: what each call was given, (N, C, positions) in float64.
Seen = dict[str, list[np.ndarray]]


def noise_images(n: int = 32) -> Tensor:
    """Images of noise."""
    return torch.randn(n, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def inputs(model: nn.Module, batches: Iterable[Tensor], *, training: bool = False) -> Seen:
    """The inputs of all normalisation layers of a copy, whose BatchNorm layers alone are in training mode if asked."""
    seen: Seen = {}
    copied = copy.deepcopy(model).eval()
    for module in copied.modules():
        if isinstance(module, _BatchNorm):
            module.training = training
    for site in find_sites(copied):

        def watch(_: nn.Module, arguments: tuple[Tensor, ...], name: str = site.name) -> None:
            x = arguments[0].double()
            seen.setdefault(name, []).append(x.reshape(*x.shape[:2], -1).numpy())

        site.module.register_forward_pre_hook(watch)
    with torch.no_grad():
        for x in batches:
            copied(x)
    return seen


def by_channel(calls: list[np.ndarray]) -> np.ndarray:
    """(C, values) of calls of any numbers of positions."""
    return np.concatenate([call.transpose(1, 0, 2).reshape(call.shape[1], -1) for call in calls], 1)
