"""Lazy modules, whose sizes are those of the weights that a file has for them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy


def materialise_(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Make what it is to be of each lazy module of ``model`` for which ``state`` has tensors, without running it.

    torch's own lazy modules become plain ones for as many inputs as the stored tensors have; those of other classes
    take the stored shapes, as ``load_state_dict`` gives them, and become plain ones at the first example, as they do in
    torch. Values are not loaded. What ``state`` has nothing for, or nothing possible, stays lazy, and the result is
    False.

    >>> lazy = nn.Sequential(nn.LazyConv2d(8, 3))
    >>> materialise_(lazy, {"0.weight": torch.zeros(8, 5, 3, 3), "0.bias": torch.zeros(8)})
    True
    >>> lazy[0]
    Conv2d(5, 8, kernel_size=(3, 3), stride=(1, 1))
    """
    for prefix, lazy in model.named_modules(remove_duplicate=False):
        if not is_unsized(lazy):
            continue
        named = [*lazy.named_parameters(recurse=False), *lazy.named_buffers(recurse=False)]
        stored = {name: state[key] for name, _ in named if (key := f"{prefix}.{name}".lstrip(".")) in state}
        inputs = _inputs(lazy, stored)
        if inputs is not None:
            lazy._infer_parameters(lazy, (inputs,))
        elif type(lazy).__module__.partition(".")[0] != "torch":
            with torch.no_grad():
                for name, place in named:
                    if name in stored and is_lazy(place):
                        place.materialize(stored[name].shape)
    return not any(map(is_unsized, model.modules()))


def is_unsized(module: Any) -> bool:
    """Whether that is a lazy module which has not got its sizes yet."""
    return isinstance(module, LazyModuleMixin) and bool(module.has_uninitialized_params())  # type: ignore[misc]


def _inputs(module: Any, stored: Mapping[str, Tensor]) -> Tensor | None:
    """Inputs of no values, with as many features as torch's lazy ``module`` had in training; None where unknown."""
    shape = next((tensor.shape for name, tensor in stored.items() if name in ("weight", "running_mean")), None)
    if shape is None or 0 in shape:
        return None
    if isinstance(module, nn.LazyLinear):
        return torch.empty(1, shape[1], device="meta") if len(shape) == 2 else None
    if isinstance(module, nn.modules.conv._LazyConvXdMixin) and len(shape) == len(module.kernel_size) + 2:
        features = shape[0] if module.transposed else shape[1] * module.groups
        spatial = (1 for _ in module.kernel_size)
        return torch.empty(1, features, *spatial, device="meta") if features % module.groups == 0 else None
    if isinstance(module, nn.modules.batchnorm._LazyNormBase) and len(shape) == 1:
        return torch.empty(1, shape[0], device="meta")
    return None
