"""Maps whose brightness tells the class, the halves that a run splits them into, and networks that learned them."""

import copy
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import split
from tests.builders.networks import convolutional, fit_

CLASSES = 3
Example = tuple[Tensor, int]


def examples(n: int = 90, seed: int = 0) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    labels = [i % CLASSES for i in range(n)]
    images = torch.randn(n, 1, 8, 8, generator=generator) * 0.5 + torch.randn(n, 1, 1, 1, generator=generator) * 0.5
    return [(image + label - 1, label) for image, label in zip(images, labels, strict=True)]


def stacked(data: list[Example], rows: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
    """The inputs and the labels of some examples."""
    return torch.stack([data[row][0] for row in rows]), np.array([data[row][1] for row in rows])


def calibration(seed: int = 0, data: list[Example] | None = None) -> tuple[Tensor, NDArray[np.int64]]:
    """Inputs and labels of the calibration half of ``data``, or of :func:`examples`."""
    data = examples() if data is None else data
    return stacked(data, split(np.array([y for _, y in data]), seed).calibration)


def holdout(seed: int = 0, data: list[Example] | None = None) -> tuple[Tensor, NDArray[np.int64]]:
    """Inputs and labels of the holdout half of ``data``, or of :func:`examples`."""
    data = examples() if data is None else data
    return stacked(data, split(np.array([y for _, y in data]), seed).holdout)


@cache
def _trained(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = convolutional(CLASSES)
        x, labels = stacked(examples(120, seed=1), np.arange(120))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        return fit_(model, x * 1.3 + 0.3, torch.from_numpy(labels), epochs=8, batch_size=6, optimizer=optimizer)


def trained(seed: int = 0) -> nn.Module:
    """A network that has learned the examples a little, with statistics of other ones."""
    return copy.deepcopy(_trained(seed))


def misplaced() -> nn.Module:
    """A trained BatchNorm network with its affine parameters under GroupNorm of one channel a group.

    That forgets each example's brightness, which tells the classes apart, so α < 1 must win it back.
    """
    model = trained()
    for place in (1, 4):
        old = model.get_submodule(str(place))
        assert isinstance(old, nn.BatchNorm2d)
        new = nn.GroupNorm(old.num_features, old.num_features, eps=old.eps)
        new.weight, new.bias = old.weight, old.bias
        model.set_submodule(str(place), new)
    return model.eval()
