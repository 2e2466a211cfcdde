"""The residual networks for CIFAR of He et al. (2016), section 4.2."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate.errors import ModelError


class BasicBlock(nn.Module):
    """``relu(x' + bn2(conv2(relu(bn1(conv1(x))))))`` with two 3×3 convolutions and a shortcut without parameters.

    ``x'`` is ``x`` with every second row and column kept (``stride`` 2), and with maps of zeros put before and after
    its channels in equal number where the block has more of them: option A of the paper.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.padding = (channels - in_channels) // 2
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, in_channels, H, W) to (N, channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.padding, self.padding)) if self.padding else x


class CifarResNet(nn.Module):
    """A 3×3 convolution, three stages of ``blocks`` blocks with 16, 32 and 64 maps, a global mean, a linear layer.

    Names in the state dict are those of the widely used published checkpoints: ``conv1``, ``bn1``,
    ``layer1.0.conv1`` to ``layer3.<blocks - 1>.bn2``, ``linear``.
    """

    def __init__(self, blocks: int, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Shape: (N, in_channels, H, W) to (N, num_classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(torch.mean(x, dim=(2, 3)))
        return logits


def cifar_resnet(depth: int, num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """The network with ``depth`` weighted layers, 6n + 2 for n blocks a stage, with fresh weights (He et al., 2015).

    Limits: inputs are 32×32 in the paper; any size from 1×1 works.

    >>> sum(parameter.numel() for parameter in cifar_resnet(20).parameters())
    269722
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ModelError(f"a CIFAR ResNet has 6n + 2 layers (8, 14, 20, 32, 44, 56, 110, ...), and {depth} is not one.")
    for name, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value < 1:
            raise ModelError(f"{name} is {value}; a CIFAR ResNet needs at least 1.")
    return CifarResNet(blocks, num_classes, in_channels)


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, stride=1) for _ in range(blocks - 1)))
