"""Small trained networks of three kinds, and what breaks the running statistics of one layer of theirs."""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tests.builders.networks import fit_

Example = tuple[Tensor, int]


class InvertedResidual(nn.Module):
    """A MobileNetV2 block: expand, filter each channel, project without an activation, and add."""

    def __init__(self, channels: int, expanded: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, expanded, 1, bias=False), nn.BatchNorm2d(expanded), nn.ReLU6()),
            nn.Sequential(
                nn.Conv2d(expanded, expanded, 3, padding=1, groups=expanded, bias=False),
                nn.BatchNorm2d(expanded),
                nn.ReLU6(),
            ),
            nn.Conv2d(expanded, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


def mobile() -> nn.Module:
    """A small MobileNetV2, eps 1e-3 as in its first implementation."""
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
        InvertedResidual(8, 24),
        InvertedResidual(8, 24),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    return network


def series() -> nn.Module:
    """A network of (N, C, L)."""
    return nn.Sequential(
        nn.Conv1d(1, 8, 5, padding=2),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Conv1d(8, 12, 5, padding=2),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Conv1d(12, 12, 3, padding=1),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


def residual() -> nn.Module:
    """The CIFAR family's smallest member."""
    from calibrate.io import build

    return build("cifar/resnet8", {"in_channels": 1, "num_classes": 3})


class Trained(NamedTuple):
    """A network, the layer in its middle, and examples like those that it learned."""

    network: nn.Module
    middle: str
    data: list[Example]


#: How each is built, what its middle layer is called, and the positions of its input.
NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = {
    "residual": (residual, "layer2.0.bn1", (8, 8)),
    "mobile": (mobile, "1.conv.1.1", (8, 8)),
    "series": (series, "4", (40,)),
}


def waves(n: int, shape: tuple[int, ...], seed: int) -> list[Example]:
    """Three classes of waves, by their length along the last axis, in noise."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.arange(shape[-1], dtype=torch.float32)
    data = []
    for number in range(n):
        label = number % 3
        phase = 6.3 * float(torch.rand((), generator=generator))
        wave = torch.sin(places * (0.5, 1.1, 2.3)[label] + phase)
        noise = 1.2 * torch.randn(1, *shape, generator=generator)
        data.append((wave.expand(1, *shape) + noise, label))
    return data


@cache
def _trained(name: str) -> nn.Module:
    build, _, shape = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build()
        data = waves(384, shape, seed=1)
        x, y = torch.stack([x for x, _ in data]), torch.tensor([y for _, y in data])
        optimizer = torch.optim.Adam(network.parameters(), 0.01)
        return fit_(network, x, y, epochs=10, batch_size=32, optimizer=optimizer)


def trained(name: str) -> Trained:
    """The network ``name`` of ``NETWORKS``, and 300 other examples."""
    _, middle, shape = NETWORKS[name]
    return Trained(copy.deepcopy(_trained(name)), middle, waves(300, shape, seed=2))


def not_a_number_(layer: Any) -> None:
    """As an overflow in mixed precision leaves it."""
    layer.running_mean[1:3] = float("nan")
    layer.running_var[1:3] = float("nan")


def infinite_(layer: Any) -> None:
    """As an overflow of the variance alone leaves it; the logits stay finite."""
    layer.running_var[0] = float("inf")


def negative_(layer: Any) -> None:
    """As a subtraction of squares leaves it."""
    layer.running_var[2] = -0.5


def shrunk_(layer: Any) -> None:
    """As half precision, or a mean that began at 0, leaves it."""
    layer.running_var.zero_()


def diverged_(layer: Any) -> None:
    """As a batch far out leaves it."""
    layer.running_var.mul_(1e9)


def displaced_(layer: Any) -> None:
    """As a batch far out leaves it where its values were all alike."""
    layer.running_mean[:2] += 500 * layer.running_var[:2].sqrt()


class Illness(NamedTuple):
    """What breaks a layer, the kind that it is named by, and whether the statistics alone show it."""

    break_: Callable[[Any], None]
    kind: str
    shows_alone: bool


ILLNESSES: Mapping[str, Illness] = {
    "nan": Illness(not_a_number_, "statistics-not-finite", True),
    "inf": Illness(infinite_, "statistics-not-finite", True),
    "negative": Illness(negative_, "statistics-not-finite", True),
    "shrunk": Illness(shrunk_, "variance-too-small", False),
    "diverged": Illness(diverged_, "variance-too-large", True),
    "displaced": Illness(displaced_, "mean-far", True),
}


def never_filled_(network: nn.Module) -> nn.Module:
    """As training with frozen statistics, or a conversion, leaves them."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    return network
