"""The demo's network: what it is and where its weights lie."""

from pathlib import Path

from calibrate.io.cifar_resnet import CifarResNet, cifar_resnet

ARCHITECTURE = "cifar/resnet8"
ARCHITECTURE_ARGS: dict[str, int] = {"in_channels": 1}

#: The trained weights, shipped with the package; ``calibrate.demo.train`` writes them.
CHECKPOINT = Path(__file__).with_name("digits-resnet8.safetensors")


def fresh_network() -> CifarResNet:
    """The network with random weights. Shape: (N, 1, H, W) to (N, 10)."""
    return cifar_resnet(8, **ARCHITECTURE_ARGS)
