"""What a fine-tuning from Python starts from: a short recipe, maps of four classes, a network."""

from typing import Any

import torch
from torch import nn

from calibrate.data import Examples, Source
from tests.builders.networks import convolutional, warmed_up

SHORT: dict[str, Any] = {"phases": [{"epochs": 2}], "batch_size": 8}


def maps(count: int = 80, classes: int = 4, seed: int = 0, names: list[str] | None = None) -> Source:
    """Float maps whose mean tells the class."""
    draw = torch.Generator().manual_seed(seed)
    labels = [index % classes for index in range(count)]
    maps = [torch.randn(1, 8, 8, generator=draw) + 2 * label for label in labels]
    return Examples(list(zip(maps, labels, strict=True)), name=f"maps {seed}", preprocessing=None, classes=names)


def model_of(classes: int) -> nn.Module:
    """The plainest network, of so many classes."""
    return warmed_up(convolutional(classes))
