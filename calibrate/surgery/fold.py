"""Folding: subtracting a site's running mean in the convolution that feeds it."""

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from calibrate.nn import ExampleWeighed
from calibrate.surgery.borrow import evaluating

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d

#: Largest |difference| / largest |output| that rounding may explain, in units of the precision's epsilon.
ROUNDING = 100


def fold_means(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy of ``model`` for inference whose convolutions put out x − rm where they feed a site that weighs examples.

    The site's running mean becomes 0 and moves into the convolution's bias, so that one pass over the maps fewer is
    needed to weigh an example and none of its digits is lost. A convolution takes it if, on ``example``, it was called
    once and what it put out went to that site, called once, and nowhere else. Sites that stay BatchNorm (α = 0) are
    left alone, as is GroupNorm, whose channels share a mean, and so is the whole network where the folded one puts out
    something else.
    """
    folded = copy.deepcopy(model).eval()
    for convolution, site in _pairs(folded, example):
        mean = site.running_mean
        assert isinstance(mean, Tensor)
        bias = torch.zeros_like(mean) if convolution.bias is None else convolution.bias.detach()
        convolution.bias = nn.Parameter((bias.double() - mean.double()).to(convolution.weight.dtype))
        site.running_mean = torch.zeros_like(mean)
        site.centred = True
    with evaluating(model), torch.inference_mode():
        expected, actual = model(example), folded(example)
    error = (actual - expected).abs().max() / expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    if not error <= ROUNDING * torch.finfo(expected.dtype).eps:
        return copy.deepcopy(model).eval()
    return folded


def _pairs(model: nn.Module, example: Tensor) -> list[tuple[Convolution, ExampleWeighed]]:
    """The convolutions whose output one site reads, and nothing else."""
    readers = _Readers()
    calls: Counter[nn.Module] = Counter()
    made: dict[int, tuple[Convolution, Tensor]] = {}
    read: list[tuple[ExampleWeighed, Tensor]] = []

    def enter(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls[module] += 1
        readers.inside += 1
        if isinstance(module, ExampleWeighed):
            read.append((module, arguments[0]))
            readers.count((arguments[0],))

    def leave(module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> None:
        readers.inside -= 1
        if isinstance(module, Convolution):
            made[id(output)] = (module, output)

    handles = []
    for module in model.modules():
        if isinstance(module, Convolution | ExampleWeighed):
            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        with torch.inference_mode(), readers:
            output = model(example)
            readers.count(output)
    finally:
        for handle in handles:
            handle.remove()
    return [
        (made[id(x)][0], site)
        for site, x in read
        if id(x) in made
        and readers.seen[id(x)] == 1
        and calls[site] == calls[made[id(x)][0]] == 1
        and not site._is_plain()
        and not isinstance(site, nn.GroupNorm)
    ]


class _Readers(TorchFunctionMode):
    """Counts how often each tensor was read by an operation outside the modules that are watched."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.seen: Counter[int] = Counter()
        self._alive: list[Tensor] = []  # so that no identity is used again

    def count(self, values: Any) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                self.seen[id(value)] += 1
                self._alive.append(value)

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.inside:
            self.count((args, kwargs))
        return function(*args, **kwargs or {})
