"""Copying networks, whatever their modules hold."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from calibrate.errors import ModelError, said

Network = TypeVar("Network", bound=nn.Module)


def copied(model: Network, shared: Mapping[int, Any] | None = None) -> Network:
    """A copy, for the caller's network is never changed; ``shared`` are what it has in common with it, by identity.

    Tensors that hooks compute, as torch's pruning does, are copied without the graph that they came from, and lazy
    buffers without a shape, neither of which torch copies itself.

    Raises ModelError for a network whose own code cannot copy it, or copies it to something else.
    """
    attributes = (value for module in model.modules() for value in vars(module).values())
    computed = (value for value in attributes if isinstance(value, Tensor) and value.grad_fn is not None)
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in computed}
    lazy = (buffer for buffer in model.buffers() if isinstance(buffer, UninitializedBuffer))
    memo |= {
        id(buffer): UninitializedBuffer(device=buffer.device, dtype=buffer.dtype)  # type: ignore[call-arg]
        for buffer in lazy
    }
    try:
        made = copy.deepcopy(model, {**memo, **(shared or {})})
    except Exception as error:  # whatever a module's own copying raises
        raise ModelError(
            f"the network cannot be copied ({_uncopied(model)}{said(error)}), and it must not be changed in place; "
            "pass one that copy.deepcopy can copy: make locks, generators and open files where they are used, not in "
            "__init__, or leave them out of the copy by __getstate__."
        ) from error
    if type(made) is not type(model) or made is model:
        same = "is the network itself" if made is model else f"is of the class {type(made).__name__}"
        raise ModelError(
            f"the copy that {type(model).__name__}.__deepcopy__ gives {same}, and the network must not be changed in "
            "place; leave __deepcopy__ out, or let it return a copy of the same class."
        )
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
            except Exception:  # whatever its own copying raises
                kind = type(value)
                place = ".".join(filter(None, (name, attribute)))
                return f"its attribute {place} is a {kind.__module__}.{kind.__qualname__}; "
    return ""
