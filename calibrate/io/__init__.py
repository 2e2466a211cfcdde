"""Reading checkpoints, building architectures, naming both."""

from calibrate.io.architectures import build, build_named, default_preprocessing
from calibrate.io.checkpoint import Checkpoint, read_checkpoint
from calibrate.io.cifar_resnets import CifarResNet, cifar_resnet
from calibrate.io.closest_architecture import closest
from calibrate.io.factory import build_factory
from calibrate.io.fitting.fit import fit_weights
from calibrate.io.fitting.places import check_state_dict
from calibrate.io.fitting.taken_weights import TakenWeights, called
from calibrate.io.lazy_modules import materialise_
from calibrate.io.load import fingerprint, load_weights_

__all__ = [
    "Checkpoint",
    "CifarResNet",
    "TakenWeights",
    "build",
    "build_factory",
    "build_named",
    "called",
    "check_state_dict",
    "cifar_resnet",
    "closest",
    "default_preprocessing",
    "fingerprint",
    "fit_weights",
    "load_weights_",
    "materialise_",
    "read_checkpoint",
]
