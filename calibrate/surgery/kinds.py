"""Kinds: which normalisation layers there are, which of them can weigh an example, and as what."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn import (
    BatchNormVariant,
    ExampleWeighed,
    ExampleWeighedBatchNorm,
    ExampleWeighedBatchNormAct,
    ExampleWeighedGroupNorm,
    ExampleWeighedGroupNormAct,
    InputBatchNorm,
)

#: Makes the layer that takes the place of one.
Weigh = Callable[[Any], ExampleWeighed]

#: What takes the place of each kind. Subclasses may do more than normalise, so only these very types are taken.
WEIGHED: Mapping[type[nn.Module], Weigh] = {
    nn.BatchNorm1d: ExampleWeighedBatchNorm.from_batch_norm,
    nn.BatchNorm2d: ExampleWeighedBatchNorm.from_batch_norm,
    nn.BatchNorm3d: ExampleWeighedBatchNorm.from_batch_norm,
    nn.SyncBatchNorm: ExampleWeighedBatchNorm.from_batch_norm,
    nn.GroupNorm: ExampleWeighedGroupNorm.from_group_norm,
}


def _weigh_frozen(module: Any) -> ExampleWeighed:
    from calibrate.nn import ExampleWeighedFrozenBatchNorm

    return ExampleWeighedFrozenBatchNorm.from_batch_norm(module)


def _weigh_frozen_act(module: Any) -> ExampleWeighed:
    from calibrate.nn import ExampleWeighedFrozenBatchNormAct

    return ExampleWeighedFrozenBatchNormAct.from_batch_norm(module)


#: The same for the classes of ``timm.layers``, which are asked for only where timm is loaded: no layer of it exists
#: before.
WEIGHED_TIMM: Mapping[str, Weigh] = {
    "BatchNormAct2d": ExampleWeighedBatchNormAct.from_batch_norm,
    "SyncBatchNormAct": ExampleWeighedBatchNormAct.from_batch_norm,
    "FrozenBatchNormAct2d": _weigh_frozen_act,
    "GroupNorm": ExampleWeighedGroupNorm.from_group_norm,
    "GroupNorm1": ExampleWeighedGroupNorm.from_group_norm,
    "GroupNormAct": ExampleWeighedGroupNormAct.from_group_norm,
}


def is_normalization(module: nn.Module) -> bool:
    """Whether ``module`` is a batch or group normalisation layer of any kind."""
    if isinstance(module, (_BatchNorm, ExampleWeighed, nn.GroupNorm, *_frozen_batch_norm())):
        return True
    return _weigh(module) is not None


def weighed(module: nn.Module) -> ExampleWeighed:
    """The layer that takes the place of ``module``, which nothing stands in the way of; it may be ``module``."""
    if isinstance(module, ExampleWeighed):
        return module
    weigh = _weigh(module)
    assert weigh is not None
    return weigh(module)


def needs_moments(module: nn.Module) -> bool:
    """Whether ``module`` is a GroupNorm as trained, whose running moments must be estimated before it can weigh."""
    return isinstance(module, nn.GroupNorm) and not isinstance(module, ExampleWeighed)


def obstacle(module: nn.Module) -> str:
    """Why ``module`` cannot weigh an example, or nothing."""
    if not isinstance(module, ExampleWeighed) and _weigh(module) is None:
        return f"it is a {type(module).__name__}, a subclass that may do more than normalise"
    if not needs_moments(module) and module.running_mean is None:
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


def _weigh(module: nn.Module) -> Weigh | None:
    kind = type(module)
    if kind in WEIGHED:
        return WEIGHED[kind]
    if isinstance(module, BatchNormVariant) and module.infers_as_batch_norm and kind is not InputBatchNorm:
        weighed = ExampleWeighedBatchNormAct if hasattr(module, "act") else ExampleWeighedBatchNorm
        return weighed.from_batch_norm
    if any(isinstance(module, frozen) and kind.forward is frozen.forward for frozen in _frozen_batch_norm()):
        return _weigh_frozen  # or a renamed or extended constructor; it computes the same
    timm = sys.modules.get("timm.layers")
    return next((weigh for name, weigh in WEIGHED_TIMM.items() if getattr(timm, name, None) is kind), None)


def _frozen_batch_norm() -> tuple[type[nn.Module], ...]:
    """Torchvision's class, asked for only where torchvision is loaded, as timm's are."""
    kind = getattr(sys.modules.get("torchvision.ops"), "FrozenBatchNorm2d", None)
    return () if kind is None else (kind,)
