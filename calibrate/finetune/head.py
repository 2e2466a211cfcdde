"""The head: the part of a network that fine-tuning learns afresh, told by the names of its modules."""

from collections.abc import Sequence

from torch import nn

from calibrate.errors import ModelError, UsageError, meant
from calibrate.surgery.last_layer import Linear


def find_head(model: nn.Module) -> str:
    """The name of the last linear layer (a convolution is one), in the order of the network's definition.

    >>> find_head(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.Softmax(1)))
    '2'
    """
    linear: list[str] = [name for name, module in model.named_modules() if isinstance(module, Linear)]
    if not linear:
        raise ModelError(
            f"the network ({type(model).__name__}) has no linear layer that could be its head; name the modules that "
            "are, as `model.named_modules()` lists them."
        )
    return linear[-1]


def modules_of(model: nn.Module, names: Sequence[str]) -> tuple[nn.Module, ...]:
    """The modules called ``names``; UsageError for a name that the network has not."""
    modules = dict(model.named_modules(remove_duplicate=False))
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise UsageError(
            f"the network ({type(model).__name__}) has no module {unknown[0]!r}{meant(unknown[0], modules)}; "
            "`model.named_modules()` lists them all."
        )
    return tuple(modules[name] for name in names)


def head_parameters(model: nn.Module, head: Sequence[str]) -> dict[int, nn.Parameter]:
    """The parameters of the modules called ``head`` and of all inside them, by identity: a tied one is there once."""
    return {id(parameter): parameter for module in modules_of(model, head) for parameter in module.parameters()}
