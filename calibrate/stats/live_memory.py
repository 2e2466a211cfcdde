"""How much memory a forward pass holds on to where it stands still, and how many batches that leaves room for."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from calibrate.surgery import evaluating, watching

#: What a thread may take for its stack, on top of what its batch holds.
STACK_BYTES = 8 << 20


class _Made(TorchDispatchMode):
    """Remembers every storage that an operation made for its result, for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and (storage := leaf.untyped_storage())._cdata not in given:
                self.storages.add(storage)
        return made


def live_bytes(model: nn.Module, layers: Iterable[nn.Module], x: Tensor) -> tuple[int, list[nn.Module]]:
    """The most bytes that a pass over ``x`` holds when it calls one of ``layers``, ``x`` included; and those it calls.

    Cost: one pass over ``x``.
    """
    held: list[int] = []
    called: list[nn.Module] = []

    def note(layer: nn.Module, _arguments: tuple[Tensor, ...]) -> None:
        called.append(layer)
        held.append(sum(storage.nbytes() for storage in made.storages))

    with watching(layers, before=note), evaluating(model), torch.inference_mode(), _Made() as made:
        model(x)
    return x.nbytes + max(held, default=0), called


def batches_that_fit(
    memory: int, model: nn.Module, layers: Iterable[nn.Module], x: Tensor
) -> tuple[int, list[nn.Module]]:
    """How many batches like ``x`` may wait at a call of ``layers`` in so many bytes; and the layers that are called.

    Cost: one pass over ``x``.
    """
    held, called = live_bytes(model, layers, x)
    return memory // (held + STACK_BYTES), called
