"""Small trainings of the plainest network, some of which are killed."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from calibrate.data import Examples, Source
from calibrate.data.derived.base import Derived
from calibrate.finetune import StateFile, TrainingLoop, TrainingState, make_penalties, train_
from calibrate.recipe import FineTuning, Preprocessing
from calibrate.result import Listener, silent
from calibrate.surgery import Replacement, batch_norms, place_
from tests.builders.networks import convolutional, warmed_up

CPU = torch.device("cpu")
CLASSES = 3


class Mortal(Derived):
    """A source that stops the training at its ``deadline``-th pass, which each batch in training is one of."""

    def __init__(self, source: Source, deadline: int) -> None:
        super().__init__(source)
        self.deadline, self.served = deadline, 0

    def _stream(self, indices: Any, ahead: int) -> Any:
        self.served += 1
        if self.served == self.deadline:
            raise KeyboardInterrupt
        return super()._stream(indices, ahead)


def grey_images(count: int = 60) -> Source:
    """Grey images of 8 × 8 pixels, in three classes that differ in brightness and noise."""
    draw = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    noise = draw.normal(0, 40, (count, 1, 8, 8)) * (1 + labels[:, None, None, None])
    pixels = torch.from_numpy(np.clip(80 + 40 * labels[:, None, None, None] + noise, 0, 255).astype(np.uint8))
    shape = Preprocessing(channels=1, mean=(0.5,), std=(0.25,))
    return Examples(list(zip(pixels, labels.tolist(), strict=True)), name="noise", preprocessing=shape)


def network(layer: str | None = None) -> nn.Module:
    """The plainest network with two sites, where ``layer`` stands in place of both."""
    model = warmed_up(convolutional(CLASSES))
    return model if layer is None else place_(model, dict.fromkeys(batch_norms(model), Replacement(layer)))


def training(recipe: FineTuning, progress: Listener = silent, deadline: int | None = None) -> TrainingLoop:
    """48 examples to train on and 12 to choose the epoch; with ``deadline`` it is killed at that batch."""
    source = grey_images()
    assert source.labels is not None
    rows = np.arange(len(source))
    given = source if deadline is None else Mortal(source, deadline)
    validation = rows[rows % 5 == 0] if recipe.validation else rows[:0]
    return TrainingLoop(
        recipe, given, source.labels, CLASSES, np.setdiff1d(rows, rows[rows % 5 == 0]), validation, "8", CPU, progress
    )


def trained(model: nn.Module, given: TrainingLoop, path: Path | None = None, request: str = "this") -> TrainingState:
    """Train ``model`` with the recipe's penalties, from the network as it comes."""
    penalties = make_penalties(model, model, given)
    return train_(model, given, penalties, None if path is None else StateFile(path, request))
