"""Reading checkpoints, building architectures, naming both."""

from calibrate.io.architectures import build, build_named, default_preprocessing
from calibrate.io.checkpoint import Checkpoint, read_checkpoint
from calibrate.io.cifar_resnets import CifarResNet, cifar_resnet
from calibrate.io.closest_architecture import closest
from calibrate.io.factory import build_factory
from calibrate.io.load import fingerprint, load_weights_
from calibrate.io.state_names import names_as_in

__all__ = [
    "Checkpoint",
    "CifarResNet",
    "build",
    "build_factory",
    "build_named",
    "cifar_resnet",
    "closest",
    "default_preprocessing",
    "fingerprint",
    "load_weights_",
    "names_as_in",
    "read_checkpoint",
]
