"""How a network's images are prepared, also as no product's preprocessing says it: BGR, 0–255, inverted."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CIFAR = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CIFAR_SMALLER = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True, slots=True)
class Preparation:
    """``(p − mean) / std`` per channel, where p is x / 255, or 1 − x / 255 where ``inverted``, as RGB or BGR.

    ``mean`` and ``std`` are in the order of the network's channels: the first is red's, or with ``bgr`` blue's.

    >>> Preparation((0.5,), (0.5,), inverted=True)(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    tensor([[[[ 1., -1.]]]])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False
    inverted: bool = False

    def __call__(self, pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """From uint8 (N, C, H, W) to ``dtype``."""
        p = pixels.to(dtype).div_(255)
        if self.inverted:
            p = p.neg_().add_(1)
        if self.bgr:
            p = p.flip(1)
        mean, std = (torch.tensor(values, dtype=dtype)[:, None, None] for values in (self.mean, self.std))
        return p.sub_(mean).div_(std)


def _reversed(pair: tuple[tuple[float, ...], tuple[float, ...]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return pair[0][::-1], pair[1][::-1]


#: Caffe's: BGR from 0 to 255, minus the means of ImageNet.
CAFFE = Preparation((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,) * 3, bgr=True)

_COLOR = {
    "ImageNet": IMAGENET,
    "mean = std = .5": ((0.5,) * 3, (0.5,) * 3),
    "0–1": ((0.0,) * 3, (1.0,) * 3),
    "0–255": ((0.0,) * 3, (1 / 255,) * 3),
    "CIFAR": CIFAR,
    "CIFAR, smaller std": CIFAR_SMALLER,
    "CLIP": CLIP,
    "0–255 minus means": _reversed((CAFFE.mean, CAFFE.std)),
}
_GREY = {
    "MNIST": ((0.1307,), (0.3081,)),
    "mean = std = .5": ((0.5,), (0.5,)),
    "0–1": ((0.0,), (1.0,)),
    "0–255": ((0.0,), (1 / 255,)),
}


#: The color preparations that users give by mistake.
QUITE_COMMON = ("ImageNet", "mean = std = .5", "0–1", "0–255", "CIFAR", "CLIP", "0–255 minus means, BGR")


def candidates(channels: int) -> dict[str, Preparation]:
    """The preparations of the field, by name: mean and std pairs, as RGB and BGR, as they are and inverted."""
    named = {}
    for name, pair in (_GREY if channels == 1 else _COLOR).items():
        for inverted in (False, True):
            suffix = ", inverted" * inverted
            named[name + suffix] = Preparation(*pair, inverted=inverted)
            if channels == 3:
                named[f"{name}, BGR{suffix}"] = Preparation(*_reversed(pair), bgr=True, inverted=inverted)
    return named


def wrong(right: Preparation, *, quick: bool) -> dict[str, Preparation]:
    """What a user may give in place of ``right``, by name: a pair of the field, channels reversed, inverted."""
    grey = len(right.mean) == 1
    names = (
        ("mean = std = .5", "0–255")
        if quick
        else ("MNIST", "mean = std = .5", "0–1", "0–255")
        if grey
        else QUITE_COMMON
    )
    named = {name: candidates(len(right.mean))[name] for name in names}
    if not grey:
        named["channels reversed"] = replace(right, mean=right.mean[::-1], std=right.std[::-1], bgr=not right.bgr)
    named["inverted"] = replace(right, inverted=not right.inverted)
    return {name: preparation for name, preparation in named.items() if preparation != right}
