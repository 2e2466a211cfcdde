"""torchvision's classification models by name, without their weights."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import nn

from calibrate.recipe import Preprocessing

#: torchvision warns unless these are told whether to draw initial weights; ours are read from a file.
_SLOW_INITIAL_WEIGHTS = ("googlenet", "inception_v3")


def build_torchvision(name: str, args: Mapping[str, Any]) -> nn.Module:
    """The network, in eval mode, with fresh weights; ``name`` is one of :func:`torchvision_models`."""
    from torchvision.models import get_model_builder

    defaults = {"init_weights": False} if name in _SLOW_INITIAL_WEIGHTS else {}
    model: nn.Module = get_model_builder(name)(weights=None, **{**defaults, **args})
    return model.eval()


def torchvision_preprocessing(name: str, args: Mapping[str, Any]) -> Preprocessing:
    """What its current weights were evaluated with.

    ``googlenet`` and ``inception_v3`` built without ``transform_input`` want mean and deviation 0.5, which is what
    ``transform_input`` makes of ImageNet's.
    """
    from torchvision.models import get_model_weights

    preset = get_model_weights(name).DEFAULT.transforms()
    halves = name in _SLOW_INITIAL_WEIGHTS and not args.get("transform_input")
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=(0.5, 0.5, 0.5) if halves else tuple(preset.mean),
        std=(0.5, 0.5, 0.5) if halves else tuple(preset.std),
    )


@cache
def torchvision_models() -> tuple[str, ...]:
    """Their names, without ``torchvision/``."""
    from torchvision import models

    return tuple(models.list_models(module=models))
