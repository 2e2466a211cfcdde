"""Predicting: one pass of a network over some of the examples."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.result import Listener, Progress
from calibrate.surgery import checked_logits, evaluating


@dataclass(frozen=True, slots=True)
class Setting:
    """How passes are made. The same setting on the same machine gives the same bits."""

    batch_size: int
    device: torch.device
    progress: Listener


def predict(model: nn.Module, source: Source, indices: NDArray[np.int64], setting: Setting, stage: str) -> Tensor:
    """The logits (n, K) of the examples ``indices``, on the CPU, with ``model`` in evaluation mode."""
    dtype = input_dtype(model)
    logits = []
    done = 0
    with evaluating(model), torch.inference_mode():
        for batch in source.batches(indices, setting.batch_size):
            logits.append(checked_logits(model, batch.inputs.to(setting.device, dtype)).cpu())
            done += len(batch.indices)
            setting.progress(Progress(stage, done, len(indices)))
    return torch.cat(logits)


def input_dtype(model: nn.Module) -> torch.dtype:
    """The floating type of the network's parameters, and so of its input."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
