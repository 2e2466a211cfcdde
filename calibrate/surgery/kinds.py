"""Kinds: which normalisation layers there are, which of them can weigh an example, and as what."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn import (
    BatchNormVariant,
    ExampleWeighed,
    ExampleWeighedBatchNorm,
    ExampleWeighedBatchNormAct,
    ExampleWeighedGroupNorm,
    ExampleWeighedGroupNormAct,
    InputBatchNorm,
    weigh_own,
)
from calibrate.surgery.layer_traits import STATE, own_hooks
from calibrate.surgery.recognised import Formula, holds_statistics, recognise

#: Makes the layer that takes the place of one.
Weigh = Callable[[Any], ExampleWeighed]

#: Torch's classes of batch normalisation.
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

#: What takes the place of each kind, and of subclasses of it that compute the same: see :func:`same_kind`.
WEIGHED: Mapping[type[nn.Module], Weigh] = {
    **dict.fromkeys(BATCH_NORMS, ExampleWeighedBatchNorm.from_batch_norm),
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


#: What a subclass may define anew and still compute what its base does.
HARMLESS = frozenset(
    {
        *vars(type("", (), {})),  # what every class has
        *("__init__", "__repr__", "__str__", "extra_repr", "reset_parameters"),
        *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__constants__"),
        *("__firstlineno__", "__static_attributes__", "__parameters__", "__orig_bases__"),
        *("__abstractmethods__", "_abc_impl"),
    }
)


def same_kind(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether ``module`` is a ``kind``, or of a subclass of it that changes no more than how one is made and shown.

    Such a subclass, which other defaults are the usual reason for, overrides nothing else that ``kind`` has, and adds
    no parameter, buffer, submodule or forward hook.

    >>> class BatchNorm(nn.BatchNorm2d):
    ...     def __init__(self, channels):
    ...         super().__init__(channels, eps=1e-3, momentum=0.01)
    >>> same_kind(BatchNorm(3), nn.BatchNorm2d), same_kind(nn.BatchNorm1d(3), nn.BatchNorm2d)
    (True, False)
    """
    if not isinstance(module, kind) or "forward" in vars(module):
        return False
    if type(module) is kind:
        return True
    order = type(module).__mro__
    defined = {name for own in order[: order.index(kind)] for name in vars(own)}
    overridden = any(hasattr(kind, name) for name in defined - HARMLESS)
    state = {*module._parameters, *module._buffers} - STATE
    return not (overridden or state or module._modules or own_hooks(module))


def is_normalization(module: nn.Module) -> bool:
    """Whether ``module`` is a batch or group normalisation layer, or holds running statistics of its own."""
    if isinstance(module, (_BatchNorm, ExampleWeighed, nn.GroupNorm, *_frozen_batch_norm())):
        return True
    return holds_statistics(module) or _weigh(module) is not None


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
        name = type(module).__name__
        if is_own(module):
            return f"it is a {name}, which is not proven to be batch normalisation: {recognise(module)}"
        return f"it is a {name}, a subclass that may do more than normalise"
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


def batch_norm_kind(module: nn.Module) -> type[nn.Module] | None:
    """Torch's class of batch normalisation that ``module`` is of, in all that it computes; None where of none."""
    return next((kind for kind in BATCH_NORMS if same_kind(module, kind)), None)


def is_own(module: nn.Module) -> bool:
    """Whether ``module`` is of a class of the network's own, which its output must prove to be batch normalisation."""
    if isinstance(module, ExampleWeighed | BatchNormVariant) or not holds_statistics(module):
        return False
    return batch_norm_kind(module) is None and _weigh_known(module) is None


def eps_of(module: nn.Module) -> float:
    """The eps of a normalisation layer, as found where its class is the network's own; 1e-5 where it has none."""
    formula = recognise(module) if is_own(module) else None
    eps: Any = formula.eps if isinstance(formula, Formula) else getattr(module, "eps", None)
    known = isinstance(eps, int | float) or (isinstance(eps, Tensor) and eps.numel() == 1)
    return float(eps) if known else 1e-5


def affine_of(module: nn.Module) -> tuple[Tensor | None, Tensor | None]:
    """γ and β of a normalisation layer, as flat as its channels are; None where it has none."""
    values = (getattr(module, name, None) for name in ("weight", "bias"))
    count = channels(module)
    weight, bias = (
        value.flatten() if isinstance(value, Tensor) and value.numel() == count else None for value in values
    )
    return weight, bias


def _weigh(module: nn.Module) -> Weigh | None:
    if (known := _weigh_known(module)) is not None:
        return known
    if not is_own(module) or not isinstance(formula := recognise(module), Formula):
        return None
    return partial(weigh_own, eps=formula.eps, act=formula.act)


def _weigh_known(module: nn.Module) -> Weigh | None:
    kind = type(module)
    if "forward" in vars(module):  # it was patched, and may compute anything
        return None
    if kind in WEIGHED:
        return WEIGHED[kind]
    if (base := batch_norm_kind(module)) is not None:
        return WEIGHED[base]
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
