"""BatchNorm that was folded away: convolutions with a bias where it is usual."""

import re
from collections.abc import Iterator
from math import prod

from torch import nn

from calibrate.result import LayerCondition

#: Only these very types: a subclass, such as one that standardises its weights, has a bias of its own right.
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
#: What BatchNorm layers are called.
NORM_NAME = re.compile(r"_?(bn|b?norm|batch_?norm)[\d_]*[a-z]?", re.IGNORECASE)
#: A network of so many convolutions and no normalisation has lost it, or never had it.
SEVERAL = 3

CURE = (
    "There are no running statistics to re-estimate, and no α can be set: take the checkpoint from before folding "
    "(fusing), where there is one."
)


def folded_away(model: nn.Module) -> tuple[LayerCondition, ...]:
    """The places of BatchNorm layers that were folded into the convolution before them; none where there are none.

    A place is an ``nn.Identity`` (or an empty ``nn.Sequential``) that is called as norms are, or stands in a sequence,
    right after a convolution with a bias. In a network of several convolutions, all with a bias, and no normalisation
    layer at all, it is each convolution. One of the biases must be larger than initialisation makes it.

    >>> import torch; network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Identity())
    >>> _ = network[0].bias.data.fill_(1.0)
    >>> [item.names for item in folded_away(network)]
    [('1',)]
    """
    places = dict(_places(model)) or dict(_without_normalisation(model))
    if not any(map(_has_grown, places.values())):
        return ()
    return tuple(LayerCondition(kind="batch-norm-folded", names=(name,), cure=CURE) for name in places)


def _places(model: nn.Module) -> Iterator[tuple[str, Convolution]]:
    """Where a norm is missing, and the convolution before it."""
    for parent, module in model.named_modules():
        before: nn.Module | None = None
        for name, child in module.named_children():
            gone = isinstance(child, nn.Identity) or (isinstance(child, nn.Sequential) and not len(child))
            called = NORM_NAME.fullmatch(name) or (isinstance(module, nn.Sequential) and name.isdigit())
            if gone and called and (convolution := _with_bias(before)) is not None:
                yield f"{parent}.{name}" if parent else name, convolution
            before = child


def _without_normalisation(model: nn.Module) -> Iterator[tuple[str, Convolution]]:
    """The convolutions of a network that has nothing else to normalise with."""
    found = {}
    for name, module in model.named_modules():
        if "norm" in type(module).__name__.lower():
            return
        if isinstance(module, nn.modules.conv._ConvNd):
            found[name] = _with_bias(module)
    if len(found) >= SEVERAL:
        all_with_bias = {name: convolution for name, convolution in found.items() if convolution is not None}
        yield from all_with_bias.items() if len(all_with_bias) == len(found) else ()


def _with_bias(module: nn.Module | None) -> Convolution | None:
    """``module`` as a convolution with a bias, or the one that it begins with, fused with its activation."""
    while isinstance(module, nn.Sequential) and len(module):
        module = module[0]
    plain = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and type(module) in CONVOLUTIONS
    return module if plain and module.bias is not None else None  # type: ignore[union-attr, return-value]


def _has_grown(convolution: Convolution) -> bool:
    """Whether a bias is larger than 1/√(fan-in), the bound of torch's initialisation."""
    bias = convolution.bias
    return bias is not None and bool(bias.abs().max() > prod(convolution.weight.shape[1:]) ** -0.5)
