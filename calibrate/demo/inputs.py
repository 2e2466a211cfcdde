"""The demo's inputs as files, so that the demo goes the way of any run."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibrate.demo.digits import held_out_digits, scan
from calibrate.io.cifar_resnets import CifarResNet, cifar_resnet

SCAN_SEED = 0


@dataclass(frozen=True, slots=True)
class DemoInputs:
    """A checkpoint, the held-out digits and the same digits scanned badly."""

    checkpoint: Path
    digits: Path
    scanned: Path


def write_inputs(folder: Path) -> DemoInputs:
    """Copy the checkpoint and write both sets as ``.npz`` (x uint8 (N, 8, 8), y int64 (N,)) into ``folder``.

    The folder is made where it is missing; files of the same names are replaced.
    """
    images, labels = held_out_digits()
    folder.mkdir(parents=True, exist_ok=True)
    inputs = DemoInputs(folder / CHECKPOINT.name, folder / "digits.npz", folder / "scanned-digits.npz")
    shutil.copyfile(CHECKPOINT, inputs.checkpoint)
    np.savez(inputs.digits, x=images, y=labels)
    np.savez(inputs.scanned, x=scan(images, SCAN_SEED), y=labels)
    return inputs


ARCHITECTURE = "cifar/resnet8"
ARCHITECTURE_ARGS: dict[str, int] = {"in_channels": 1}

#: The trained weights, shipped with the package; ``calibrate.demo.train`` writes them.
CHECKPOINT = Path(__file__).with_name("digits-resnet8.safetensors")


def fresh_network() -> CifarResNet:
    """The network with random weights. Shape: (N, 1, H, W) to (N, 10)."""
    return cifar_resnet(8, **ARCHITECTURE_ARGS)
