"""The names in a state dict, as far as they can be told without a network: prefixes and older spellings."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

#: What wrappers such as DataParallel, torch.compile and Lightning put before every name.
PREFIXES = ("module.", "model.", "_orig_mod.", "backbone.")

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


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


def torchvision_name(name: str) -> str:
    """``name`` with torchvision's present spelling for that of older DenseNet files.

    >>> torchvision_name("features.denseblock1.denselayer2.norm.1.bias")
    'features.denseblock1.denselayer2.norm1.bias'
    """
    return _OLD_DENSENET.sub(r"\1\2", name)


def respelled(state: Mapping[str, Tensor], network: Iterable[str]) -> dict[str, Tensor]:
    """``state`` with :func:`torchvision_name`, unless the names of ``network`` are spelled in that older way too.

    >>> import torch
    >>> list(respelled({"denselayer1.norm.1.bias": torch.ones(2)}, ["denselayer1.norm.1.bias"]))
    ['denselayer1.norm.1.bias']
    """
    if any(map(_OLD_DENSENET.search, network)):
        return dict(state)
    return {new if (new := torchvision_name(name)) not in state else name: state[name] for name in state}


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without its shared prefix, and with :func:`torchvision_name`."""
    prefix = len(shared_prefix(state))
    return {torchvision_name(name[prefix:]): tensor for name, tensor in state.items()}
