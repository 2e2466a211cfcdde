"""Which known architecture a state dict belongs to."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from calibrate.io.architectures import build_named
from calibrate.io.state_names import plain_names
from calibrate.io.torchvision_architectures import torchvision_models

#: Share of names and shapes that must agree for an architecture to be worth naming.
ENOUGH = 0.9

Shapes = Mapping[str, tuple[int, ...]]


def closest(state: Mapping[str, Tensor]) -> str | None:
    """The CIFAR or torchvision architecture whose names and shapes agree with those of ``state`` best.

    None where fewer than 90 % of all names, in either, agree. Another number of classes (or of input channels, for
    CIFAR) is no disagreement, but is named. Takes seconds: candidates are built, without memory for their weights.

    >>> closest(build_named("cifar/resnet14", {"num_classes": 7}).state_dict())
    'cifar/resnet14 with num_classes=7'
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in plain_names(state).items() if _counts(name)}
    candidates = [(name, _fitted_args(name, shapes)) for name in (*_cifar(shapes), *_torchvision(shapes))]
    agreements = [_agreement(shapes, _shapes(name, tuple(args.items()))) for name, args in candidates]
    best = max(agreements, default=0.0)
    if best < ENOUGH:
        return None
    name, args = candidates[agreements.index(best)]
    given = ", ".join(f"{key}={value}" for key, value in args.items())
    return f"{name} with {given}" if given else name


def _counts(name: str) -> bool:
    """Whether plain and older files of the same network have that name too."""
    return not name.endswith((".alpha", ".num_batches_tracked"))


def _agreement(ours: Shapes, theirs: Shapes) -> float:
    return len(ours.items() & theirs.items()) / len(ours.keys() | theirs.keys())


@cache
def _shapes(name: str, args: tuple[tuple[str, int], ...] = ()) -> Shapes:
    with NoMemory():
        state = build_named(name, dict(args)).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if _counts(name)}


class NoMemory(TorchFunctionMode):
    """Parameters, which modules make with torch.empty, get shapes only; what constructors compute is computed.

    ``torch.device("meta")`` would do as well, but RegNet's constructor computes its widths with tensors.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})})


def _fitted_args(name: str, shapes: Shapes) -> dict[str, int]:
    """The arguments, other than its defaults, that the file's first and last layers call for."""
    theirs = _shapes(name)
    args: dict[str, int] = {}
    last = list(theirs)[-1]
    for key, (layer, axis) in {"num_classes": (last, 0), "in_channels": ("conv1.weight", 1)}.items():
        ours = shapes.get(layer, ())
        known = key == "num_classes" or name.startswith("cifar/")
        if known and len(ours) == len(theirs[layer]) > axis and 0 < ours[axis] != theirs[layer][axis]:
            args[key] = ours[axis]
    return args


def _cifar(shapes: Shapes) -> Iterator[str]:
    """The CIFAR network with as many blocks in its first stage."""
    blocks = len({name.split(".")[1] for name in shapes if name.startswith("layer1.")})
    if 0 < blocks <= 200 and "linear.weight" in shapes:
        yield f"cifar/resnet{6 * blocks + 2}"


def _torchvision(shapes: Shapes) -> Iterator[str]:
    """The members of each family whose first member has a quarter of the names that the two could share."""
    for _, members in groupby(torchvision_models(), key=_family):
        first, *others = (f"torchvision/{member}" for member in members)
        names = _shapes(first).keys()
        if 4 * len(names & shapes.keys()) >= min(len(names), len(shapes)):
            yield from (first, *others)


def _family(model: str) -> str:
    """``efficientnet_b0`` to ``efficientnet``, ``mobilenet_v3_small`` to ``mobilenet_v3``, ``vgg11_bn`` to ``vgg``."""
    letters = model.rstrip("0123456789").split("_")
    return "_".join([letters[0].rstrip("0123456789"), *(part for part in letters[1:2] if part.startswith("v"))])
