"""Layer traits: what the output of a layer depends on besides its input, told so that a change of it shows."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

#: What the state dict of a batch normalisation layer holds.
STATE = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
#: Values that are told by themselves, and how deep in collections they are looked for.
PLAIN = (int, float, str, bool, type(None), torch.dtype, torch.device)
DEPTH = 4
#: The attributes of every module.
COMMON = frozenset(vars(nn.Module()))


def own_hooks(module: nn.Module) -> tuple[Any, ...]:
    """The forward hooks of ``module`` that are not ours."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return tuple(hook for hook in hooks if not is_ours(hook))


def is_ours(hook: Any) -> bool:
    """Whether a forward hook is one of this package's."""
    return str(getattr(hook, "__module__", "")).startswith("calibrate.")


class Traits:
    """What the output of ``layer`` depends on besides its input and the values of ``STATE``; equal if that is the same.

    ``told`` holds numbers and names by value, and collections by what they hold; of all else the identity, and of
    tensors how often they were changed in place. ``is_shared`` says whether a copy of the layer has the same: whether
    nothing in it goes by identity.

    >>> layer, other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    >>> (Traits(layer).told == Traits(other).told, Traits(layer).is_shared)
    (True, True)
    >>> other.eps = 0.1
    >>> Traits(layer).told == Traits(other).told
    False
    """

    def __init__(self, layer: nn.Module) -> None:
        self.is_shared = True
        self.told = tuple(
            (name, self._of_module(module, STATE if module is layer else frozenset()))
            for name, module in layer.named_modules(remove_duplicate=False)
        )

    def _of_module(self, module: nn.Module, drawn: frozenset[str]) -> tuple[Any, ...]:
        """``drawn`` are the names of tensors whose values do not count."""
        state = tuple(
            (name, name in module._buffers, _form(tensor) if name in drawn else self._of(tensor))
            for name, tensor in (*module._parameters.items(), *module._buffers.items())
        )
        own = tuple((name, self._of(value)) for name, value in vars(module).items() if name not in COMMON)
        return type(module), state, own, self._of(own_hooks(module))

    def _of(self, value: Any, depth: int = DEPTH) -> Any:
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, Mapping) and depth:
            return dict, tuple((self._of(key, 0), self._of(held, depth - 1)) for key, held in value.items())
        if isinstance(value, list | tuple) and depth:
            return type(value), tuple(self._of(held, depth - 1) for held in value)
        self.is_shared = False
        return id(value), value._version if isinstance(value, Tensor) and not value.is_inference() else 0


def _form(tensor: Tensor | None) -> Any:
    return None if tensor is None else (tuple(tensor.shape), tensor.dtype)
