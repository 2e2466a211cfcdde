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
            f"the network cannot be copied ({said(error)}), and it must not be changed in place; pass one that "
            "copy.deepcopy can copy, as freshly built from its class."
        ) from error
    if type(made) is not type(model) or made is model:
        same = "is the network itself" if made is model else f"is of the class {type(made).__name__}"
        raise ModelError(
            f"the copy that {type(model).__name__}.__deepcopy__ gives {same}, and the network must not be changed in "
            "place; leave __deepcopy__ out, or let it return a copy of the same class."
        )
    return made
