"""The final layer: dividing the logits by a temperature without adding an operation."""

import torch
from torch import Tensor, nn

from calibrate.surgery.borrow import evaluating, watching
from calibrate.surgery.copying import copied

Linear = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def divide_logits_(model: nn.Module, temperature: float, inputs: Tensor) -> str | None:
    """Make ``model`` put out logits/T: fold 1/T into its final linear layer, or else divide after it.

    Returns the name of the layer that took 1/T, or None where no single linear layer scales the logits (checked on
    ``inputs``). Then a buffer ``temperature`` and a forward hook on ``model`` do the division, and the state dict
    gains the key ``temperature``.
    """
    found = final_layer(model, inputs)
    if found is None:
        divide_after_(model, temperature)
        return None
    name, layer = found
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            if parameter is not None:
                parameter.copy_((parameter.double() / temperature).to(parameter.dtype))
    return name


def divide_after_(model: nn.Module, temperature: float) -> None:
    """Divide what ``model`` puts out by a buffer ``temperature``; a second call multiplies the temperatures."""
    held = getattr(model, "temperature", None)
    if isinstance(held, Tensor) and _divide in model._forward_hooks.values():
        held.mul_(temperature)
        return
    parameter = next(model.parameters(), torch.zeros(()))
    model.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32, device=parameter.device))
    model.register_forward_hook(_divide)


def _divide(model: nn.Module, _inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
    temperature = model.temperature
    assert isinstance(temperature, Tensor)
    return logits / temperature.to(logits.dtype)


def final_layer(model: nn.Module, inputs: Tensor) -> tuple[str, Linear] | None:
    """The last linear layer called, if halving its parameters halves the logits of a copy exactly.

    Halving is exact in floating point, so the comparison is one of bits. It fails where something that is not
    homogeneous follows, and where the layer or its parameters are used twice.
    """
    trial = copied(model)
    called: list[Linear] = []
    layers = {module: name for name, module in trial.named_modules() if isinstance(module, Linear)}
    with (
        watching(layers, after=lambda layer, *_: called.append(layer)),
        evaluating(trial),
        torch.inference_mode(),
    ):
        logits = trial(inputs)
    if not called:
        return None
    last = called[-1]
    with evaluating(trial), torch.no_grad():
        for parameter in last.parameters(recurse=False):
            parameter.mul_(0.5)
        halved = torch.equal(trial(inputs), logits * 0.5)
    original = model.get_submodule(layers[last])
    assert isinstance(original, Linear)
    return (layers[last], original) if halved else None
