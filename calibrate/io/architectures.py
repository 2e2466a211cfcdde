"""Networks by name, and how their inputs are prepared."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from calibrate.errors import AfternormError, ModelError, said
from calibrate.io.cifar_resnets import cifar_resnet
from calibrate.io.factory import build_factory
from calibrate.io.timm_architectures import build_timm, timm_preprocessing
from calibrate.io.torchvision_architectures import build_torchvision, torchvision_models, torchvision_preprocessing
from calibrate.recipe import Preprocessing

_CIFAR = re.compile(r"cifar/resnet(\d{1,4})")
_TIMM = "timm/"
_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def build(name: str, args: Mapping[str, Any]) -> nn.Module:
    """The network of that name, with fresh weights, in eval mode; ``args`` are its constructor's keyword arguments.

    ``torchvision/<name>`` are torchvision's classification models, ``cifar/resnet<depth>`` is
    :func:`~calibrate.io.cifar_resnets.cifar_resnet`, ``timm/<name>`` is
    :func:`~calibrate.io.timm_architectures.build_timm`, ``package.module:factory`` is
    :func:`~calibrate.io.factory.build_factory`, which runs the code it names.
    """
    return build_factory(name, args) if _FACTORY.fullmatch(name) else build_named(name, args)


def build_named(name: str, args: Mapping[str, Any]) -> nn.Module:
    """As :func:`build`, for ``torchvision/``, ``cifar/`` and ``timm/`` only: no name from outside leads to other code.

    >>> build_named("cifar/resnet8", {"num_classes": 3}).linear.out_features
    3
    """
    cifar = _CIFAR.fullmatch(name)
    try:
        if cifar:
            return cifar_resnet(int(cifar[1]), **args).eval()
        if name.startswith(_TIMM):
            return build_timm(name.removeprefix(_TIMM), args).eval()
        return build_torchvision(_torchvision(name), args)
    except AfternormError:
        raise
    except Exception as error:
        raise ModelError(
            f"the architecture {name!r} cannot be built with {dict(args)!r}: {said(error)}. Give the keyword arguments "
            "that its constructor takes."
        ) from error


def default_preprocessing(name: str, args: Mapping[str, Any]) -> Preprocessing | None:
    """How the published weights of that architecture want their images; None where nothing is known.

    torchvision: what :func:`~calibrate.io.torchvision_architectures.torchvision_preprocessing` finds.
    timm: what :func:`~calibrate.io.timm_architectures.timm_preprocessing` finds.
    CIFAR: 32×32 with ImageNet's mean and deviation; None unless ``in_channels`` is 3. Factories: None.

    >>> default_preprocessing("torchvision/resnet18", {}).crop
    224
    """
    if _FACTORY.fullmatch(name):
        return None
    if _CIFAR.fullmatch(name):
        return Preprocessing(resize=32, crop=32) if args.get("in_channels", 3) == 3 else None
    if name.startswith(_TIMM):
        return timm_preprocessing(name.removeprefix(_TIMM), args)
    return torchvision_preprocessing(_torchvision(name), args)


def _torchvision(name: str) -> str:
    family, _, model = name.partition("/")
    if family == "torchvision" and model in torchvision_models():
        return model
    known = {known: f"torchvision/{known}" for known in torchvision_models()}
    known |= {f"resnet{depth}": f"cifar/resnet{depth}" for depth in (20, 32, 44, 56, 110)}
    close = [known[match] for match in difflib.get_close_matches(name.rpartition("/")[2].lower(), known)]
    meant = f" Did you mean {', '.join(close)}?" if close else ""
    raise ModelError(
        f"the architecture {name!r} is not known.{meant} An architecture is torchvision/<name> (a "
        "classification model), timm/<name>, cifar/resnet<depth> or package.module:factory."
    )
