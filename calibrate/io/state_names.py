"""The names in a state dict: where training scripts hide it, what they put before its names, and back."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

#: Where training scripts keep the state dict; the first one found wins, so averaged weights come last.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "net", "network", "weights", "module", "params"),
    *("state_dict_ema", "model_state_dict_ema", "model_ema", "ema", "params_ema"),
)
#: What wrappers such as DataParallel, torch.compile and Lightning put before every name.
PREFIXES = ("module.", "model.", "_orig_mod.", "backbone.")

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def unwrap(document: Mapping[Any, Any], depth: int = 2) -> Mapping[Any, Any] | None:
    """The mapping that holds the tensors: ``document`` itself, or what lies up to ``depth`` wrappers deep in it.

    >>> unwrap({"epoch": 3, "optimizer": {}}) is None
    True
    """
    if depth:
        for name in WRAPPERS:
            inner = document.get(name)
            found = unwrap(inner, depth - 1) if isinstance(inner, Mapping) else None
            if found is not None:
                return found
    return document if any(isinstance(value, Tensor) for value in document.values()) else None


def shared_prefix(names: Iterable[str]) -> str:
    """What all of ``names`` begin with, as far as it is made of :data:`PREFIXES`.

    >>> shared_prefix(["module.model.fc.weight", "module.model.fc.bias"])
    'module.model.'
    """
    prefix, rest = "", list(names)
    while rest and (found := next((p for p in PREFIXES if all(name.startswith(p) for name in rest)), "")):
        prefix += found
        rest = [name.removeprefix(found) for name in rest]
    return prefix


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without its shared prefix, and with torchvision's present names for those of older DenseNet files."""
    prefix = len(shared_prefix(state))
    return {_OLD_DENSENET.sub(r"\1\2", name[prefix:]): tensor for name, tensor in state.items()}


def names_as_in(model_names: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with the model's own prefix, where that makes more of its names the model's."""
    wanted = set(model_names)
    prefix = shared_prefix(wanted)
    prefixed = {prefix + name: tensor for name, tensor in plain_names(state).items()}
    return prefixed if len(wanted & prefixed.keys()) > len(wanted & state.keys()) else dict(state)
