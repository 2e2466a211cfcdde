"""Kinds: which normalisation layers there are, which of them can weigh an example, and as what."""

import sys
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import FrozenBatchNorm2d

from calibrate.nn import (
    ExampleWeighed,
    ExampleWeighedBatchNorm,
    ExampleWeighedBatchNormAct,
    ExampleWeighedFrozenBatchNorm,
    ExampleWeighedFrozenBatchNormAct,
)

#: What takes the place of each kind. Subclasses may do more than normalise, so only these very types are taken.
WEIGHED: Mapping[type[nn.Module], Any] = {
    nn.BatchNorm1d: ExampleWeighedBatchNorm,
    nn.BatchNorm2d: ExampleWeighedBatchNorm,
    nn.BatchNorm3d: ExampleWeighedBatchNorm,
    nn.SyncBatchNorm: ExampleWeighedBatchNorm,
    FrozenBatchNorm2d: ExampleWeighedFrozenBatchNorm,
}
#: The same for the classes of ``timm.layers``, which are asked for only where timm is loaded: no layer of it exists
#: before.
WEIGHED_TIMM: Mapping[str, Any] = {
    "BatchNormAct2d": ExampleWeighedBatchNormAct,
    "SyncBatchNormAct": ExampleWeighedBatchNormAct,
    "FrozenBatchNormAct2d": ExampleWeighedFrozenBatchNormAct,
}


def is_normalisation(module: nn.Module) -> bool:
    """Whether ``module`` is a batch or group normalisation layer of any kind."""
    if isinstance(module, _BatchNorm | FrozenBatchNorm2d | ExampleWeighed | nn.GroupNorm):
        return True
    return _weighed_kind(module) is not None


def weighed(module: nn.Module) -> ExampleWeighed:
    """The layer that takes the place of ``module``, which nothing stands in the way of; it may be ``module``."""
    layer: ExampleWeighed = (
        module if isinstance(module, ExampleWeighed) else _weighed_kind(module).from_batch_norm(module)
    )
    return layer


def obstacle(module: nn.Module) -> str:
    """Why ``module`` cannot weigh an example, or nothing."""
    if isinstance(module, nn.GroupNorm):
        return (
            "it is a GroupNorm, which normalises each example by its own statistics alone, as α = 1 does; α < 1 needs "
            "running moments beside them, which must be estimated on data first, and that is not available yet"
        )
    if not isinstance(module, ExampleWeighed) and _weighed_kind(module) is None:
        return f"it is a {type(module).__name__}, a subclass that may do more than normalise"
    if module.running_mean is None:
        return "it keeps no running statistics (it normalises with the batch's own)"
    return ""


def channels(module: nn.Module) -> int:
    """The number of channels that the normalisation layer ``module`` takes."""
    if isinstance(module, nn.GroupNorm):
        return module.num_channels
    if isinstance(module, _BatchNorm):
        return module.num_features
    count: int = module.running_mean.numel()  # type: ignore[operator]
    return count


def _weighed_kind(module: nn.Module) -> Any:
    kind = type(module)
    if kind in WEIGHED:
        return WEIGHED[kind]
    if isinstance(module, FrozenBatchNorm2d) and kind.forward is FrozenBatchNorm2d.forward:
        return ExampleWeighedFrozenBatchNorm  # a renamed or extended constructor; it computes the same
    timm = sys.modules.get("timm.layers")
    return next((layer for name, layer in WEIGHED_TIMM.items() if getattr(timm, name, None) is kind), None)
