"""The network that a run is given: a copy to work on, and what is said of it in a result."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from calibrate.engine.passes.prediction import input_dtype
from calibrate.errors import ModelError
from calibrate.io import fingerprint
from calibrate.result import ModelFacts


def copied(model: nn.Module) -> nn.Module:
    """A copy, for the caller's network is never changed.

    Tensors that hooks compute, as torch's pruning does, are copied without the graph that they came from, and lazy
    buffers without a shape, neither of which torch copies itself.
    """
    attributes = (value for module in model.modules() for value in vars(module).values())
    computed = (value for value in attributes if isinstance(value, Tensor) and value.grad_fn is not None)
    memo: dict[int, Tensor] = {id(value): value.detach().clone() for value in computed}
    lazy = (buffer for buffer in model.buffers() if isinstance(buffer, UninitializedBuffer))
    memo |= {
        id(buffer): UninitializedBuffer(device=buffer.device, dtype=buffer.dtype)  # type: ignore[call-arg]
        for buffer in lazy
    }
    try:
        made = copy.deepcopy(model, memo)
    except Exception as error:  # whatever a module's own copying raises
        raise ModelError(
            f"the network cannot be copied ({_uncopied(model)}{type(error).__name__}: {error}), and it must not be "
            "changed in place; pass one that copy.deepcopy can copy: make locks, generators and open files where they "
            "are used, not in __init__, or leave them out of the copy by __getstate__."
        ) from error
    for parameter in made.parameters():
        if parameter.grad_fn is not None:  # of a part that torch.jit compiled, whose weights torch copies so
            parameter.detach_().requires_grad_()
    return made


def _uncopied(model: nn.Module) -> str:
    """Which attribute of which module cannot be copied, with what it is; empty where none is by itself."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in ("_parameters", "_buffers", "_modules"):
                continue
            try:
                copy.deepcopy(value)
            except Exception:  # as above
                kind = type(value)
                place = ".".join(filter(None, (name, attribute)))
                return f"its attribute {place} is a {kind.__module__}.{kind.__qualname__}; "
    return ""


def model_facts(model: nn.Module, outputs: int, architecture: str, architecture_args: Mapping[str, Any]) -> ModelFacts:
    """What a result says of the original network."""
    return ModelFacts(
        architecture=architecture or f"{type(model).__module__}:{type(model).__qualname__}",
        architecture_args=dict(architecture_args),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        outputs=outputs,
        dtype=str(input_dtype(model)).removeprefix("torch."),
        fingerprint=fingerprint(model.state_dict()),
    )
