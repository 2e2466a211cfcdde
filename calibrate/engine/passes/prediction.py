"""Predicting: one pass of a network over some of the examples."""

from collections.abc import Sequence
from contextlib import ExitStack
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
    return predict_each([model], source, indices, setting, stage)[0]


def predict_each(
    models: Sequence[nn.Module], source: Source, indices: NDArray[np.int64], setting: Setting, stage: str
) -> list[Tensor]:
    """The logits (n, K) of each of ``models``, as :func:`predict`'s; each input is made once for all of them."""
    logits: list[list[Tensor]] = [[] for _ in models]
    done = 0
    with ExitStack() as stack, torch.inference_mode():
        for model in models:
            stack.enter_context(evaluating(model))
        for batch in source.batches(indices, setting.batch_size):
            for model, own in zip(models, logits, strict=True):
                own.append(checked_logits(model, batch.inputs.to(setting.device, input_dtype(model))).cpu())
            done += len(batch.indices)
            setting.progress(Progress(stage, done, len(indices)))
    return [torch.cat(own) for own in logits]


def input_dtype(model: nn.Module) -> torch.dtype:
    """The floating type of the network's parameters, and so of its input."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
