"""Colour images large enough to be corrupted, and a network that has learned them."""

import itertools
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from calibrate import Preprocessing
from calibrate.data.preprocess import prepare_pixels
from tests.builders.networks import fit_

PIXELS = Preprocessing()
Example = tuple[NDArray[np.uint8], int]


@cache
def images(n: int = 48, side: int = 32) -> tuple[Example, ...]:
    """Blurred colours in four rows, of which the brightest is the class."""
    generator = np.random.default_rng(0)
    made = []
    for label in itertools.islice(itertools.cycle(range(4)), n):
        rows = np.zeros((4, 4, 3))
        rows[label] = 60
        noisy = np.clip(rows + generator.normal(100, 35, rows.shape), 0, 255).astype(np.uint8)
        made.append((np.array(Image.fromarray(noisy).resize((side, side), Image.Resampling.BICUBIC)), label))
    return tuple(made)


def batch(examples: tuple[Example, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """What a network is given for these images, and their labels."""
    x = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _ in examples])
    return prepare_pixels(x, PIXELS), torch.tensor([label for _, label in examples])


@cache
def network() -> nn.Module:
    """A network that has learned the images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 4),
        )  # fmt: skip
        x, y = batch(images())
        return fit_(model, x, y, epochs=25, batch_size=len(x), optimizer=torch.optim.Adam(model.parameters(), 3e-3))
