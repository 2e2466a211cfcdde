"""Predicting: one pass of a network over some of the examples."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Source
from calibrate.engine.passes.setting import Setting
from calibrate.result import Progress
from calibrate.surgery import OtherRouteError, checked_logits, evaluating


def predict(
    model: nn.Module,
    source: Source,
    indices: NDArray[np.int64],
    setting: Setting,
    stage: str,
    *,
    watched: bool = False,
) -> Tensor:
    """The logits (n, K) of the examples ``indices``, on the CPU, with ``model`` in evaluation mode.

    ``watched``: somebody has hooks in ``model``, which therefore works as it is.
    """
    return predict_each([model], source, indices, setting, stage, watched=watched)[0]


def predict_each(
    models: Sequence[nn.Module],
    source: Source,
    indices: NDArray[np.int64],
    setting: Setting,
    stage: str,
    *,
    watched: bool = False,
) -> list[Tensor]:
    """The logits (n, K) of each of ``models``, as :func:`predict`'s; each input is made once for all of them."""
    logits: list[list[Tensor]] = [[] for _ in models]
    made: list[nn.Module] = []
    done = 0
    with ExitStack() as stack, torch.inference_mode():
        for model in models:
            stack.enter_context(evaluating(model))
        for batch in source.batches(indices, setting.batch_size):
            inputs = {dtype: setting.moved(batch.inputs, dtype) for dtype in map(input_dtype, models)}
            if not watched:
                made = made or [setting.fast(model, inputs[input_dtype(model)]) for model in models]
                inputs = {dtype: setting.in_format(x) for dtype, x in inputs.items()}
            for place, (model, own) in enumerate(zip(models, logits, strict=True)):
                x = inputs[input_dtype(model)]
                with in_precision(setting):
                    try:
                        own.append(checked_logits(made[place] if made else model, x))
                    except OtherRouteError:
                        made[place] = model
                        own.append(checked_logits(model, x))
            done += len(batch.indices)
            setting.progress(Progress(stage, done, len(indices)))
            for own in logits:
                own[-2:-1] = map(Tensor.cpu, own[-2:-1])  # the last stay, so that a GPU is never waited for
    return [
        torch.cat([part.cpu() for part in own]).to(input_dtype(model))
        for model, own in zip(models, logits, strict=True)
    ]


def in_precision(setting: Setting) -> AbstractContextManager[object]:
    """Torch's autocast, where ``setting`` asks for it."""
    if setting.autocast is None:
        return nullcontext()
    return torch.autocast(setting.device.type, getattr(torch, setting.autocast))


def input_dtype(model: nn.Module) -> torch.dtype:
    """The floating type of the network's parameters, and so of its input."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
