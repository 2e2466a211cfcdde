"""Trials: finished passes, so that a run that is started again need not repeat them."""

import hashlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.io import fingerprint
from calibrate.recipe import Step


class Trials(Protocol):
    """The logits of passes that are finished, by their keys; what was recalled is what was kept, to the last bit.

    Of a step that learns it is what was learned, a row for each epoch.
    """

    def recall(self, key: str) -> Tensor | None:
        """The logits (n, K) kept under ``key``, on the CPU; None where there are none."""

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        """Keep the logits (n, K) of a pass that the stage needed."""


def trial_key(model: nn.Module, source: Source, indices: NDArray[np.int64]) -> str:
    """SHA-256, in hexadecimal, of which weights saw which examples of which data.

    Limits: it tells passes of one run apart, whose architecture, preprocessing and form of passes are the same.
    """
    digest = hashlib.sha256(fingerprint(model.state_dict()).encode() + source.fingerprint.encode())
    digest.update(np.ascontiguousarray(indices, dtype="<i8").data)
    return digest.hexdigest()


def learning_key(model: nn.Module, source: Source, indices: NDArray[np.int64], step: Step) -> str:
    """SHA-256, in hexadecimal, of which step set out from which weights to learn from which examples of which data."""
    return hashlib.sha256((trial_key(model, source, indices) + step.model_dump_json()).encode()).hexdigest()
