"""Starting a network with small γ, and with a layer that normalises its input."""

from typing import Any

import torch
from torch import Tensor, nn

from calibrate.errors import UsageError
from calibrate.nn import InputBatchNorm
from calibrate.surgery.kinds import is_normalization

Weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


@torch.no_grad()
def initialize_(model: nn.Module, gamma: float = 0.1) -> nn.Module:
    """Draw fresh weights by fan-in, and set every normalisation layer to γ = ``gamma`` and β = 0.

    Linear and convolutional weights are normal with variance 2/fan-in, from torch's generator, and their biases 0: then
    the gradients of all layers start at one size. An InputBatchNorm starts at 0.58·``gamma``. Layers are told by their
    type, whatever their parameters are called. Returns ``model``.

    Reference: Davis & Frank, Revisiting Batch Normalization, §3.2 and 3.3.
    """
    if not 0 < gamma <= 1:
        raise UsageError(f"gamma is {gamma}; it is what γ starts at, so give a number above 0 and at most 1.")
    for module in model.modules():
        if isinstance(module, Weighted):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            _fill_(module.bias, 0.0)
        elif isinstance(module, InputBatchNorm):
            module.scale = gamma
            module.reset_parameters()
        elif is_normalization(module):
            _fill_(module.weight, gamma)
            _fill_(module.bias, 0.0)
    return model


def prepend_input_batch_norm_(model: nn.Module, num_features: int, scale: float = 1.0) -> nn.Module:
    """Let ``model`` normalise its input by an InputBatchNorm, in place of a data set's mean and standard deviation.

    The layer is the module ``input_norm`` of ``model``, whose other names stay; ``scale`` is the γ that the network
    starts with. Data are then given as they are, not normalised beforehand. Returns ``model``.
    """
    if hasattr(model, "input_norm"):
        raise UsageError(
            f"the network ({type(model).__name__}) has a module input_norm already; build it anew to start again."
        )
    if type(model).forward is nn.Sequential.forward:
        raise UsageError(
            "the network is a torch.nn.Sequential, which calls every module that it has, so none can be added for its "
            "input alone; build torch.nn.Sequential(InputBatchNorm(...), network) instead."
        )
    parameter = next(model.parameters())
    layer = InputBatchNorm(num_features, scale, device=parameter.device, dtype=parameter.dtype)
    model.add_module("input_norm", layer.train(model.training))
    model.register_forward_pre_hook(_normalise_input)
    return model


def _normalise_input(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    first, *others = inputs
    normalised: Tensor = model.input_norm(first)  # type: ignore[operator]
    return (normalised, *others)


def _fill_(parameter: object, value: float) -> None:
    if isinstance(parameter, nn.Parameter):
        parameter.fill_(value)
