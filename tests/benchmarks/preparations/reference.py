"""The fit of inputs to a network, and what the pixels say, worked out apart from the product."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn

#: Channels of the first BatchNorm count where their running variance is above this share of the upper quartile's.
LIVE = 1e-3


class _ReachedError(Exception):
    """The first BatchNorm was called."""


def fit(model: nn.Module, batches: Iterable[Tensor]) -> float:
    """½ (v/rv − 1 − ln(v/rv) + (m − rm)²/rv), the mean over live channels of the first BatchNorm that is called.

    m and v are mean and variance (÷ n) of its input, all batches together, added up in float64; a network in float64
    is computed in it.
    """
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    reached: list[nn.Module] = []

    def stop(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal count, total, squares
        x = inputs[0].movedim(1, 0).flatten(1)
        x = x - norm.get_buffer("running_mean")[:, None]
        count, total, squares = count + x.shape[1], total + x.sum(1), squares + x.square().sum(1)
        reached.append(norm)
        raise _ReachedError

    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.register_forward_pre_hook(stop) for norm in norms]
    try:
        with torch.inference_mode():
            for batch in batches:
                with suppress(_ReachedError):
                    model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    norm = reached[0]
    assert all(other is norm for other in reached)
    variance = norm.get_buffer("running_var").double()
    live = variance > LIVE * variance.quantile(0.75)
    m, v, rv = (total / count)[live], (squares / count - (total / count).square())[live], variance[live]
    return float((0.5 * (v / rv - 1 - (v / rv).log() + m.square() / rv)).mean())


def fits(
    model: nn.Module, pixels: Tensor, preparations: Mapping[str, Callable[[Tensor], Tensor]], batch_size: int = 10
) -> dict[str, float]:
    """The fit of uint8 images under each preparation."""
    return {
        name: fit(model, (prepare(part) for part in pixels.split(batch_size))) for name, prepare in preparations.items()
    }


def contrast(pixels: Tensor) -> float:
    """The range between the 1st and 99th percentile of an image's values, in units of 255: the median over images."""
    low, high = np.percentile(pixels.flatten(1).numpy(), [1, 99], axis=1)
    return float(np.median(high - low) / 255)
