"""Borrowing: what a measurement changes in a network for a while, and always gives back."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Layer = TypeVar("Layer", bound=nn.Module)


@contextmanager
def watching(
    layers: Iterable[Layer],
    *,
    before: Callable[[Layer, tuple[Any, ...]], object] | None = None,
    after: Callable[[Layer, tuple[Any, ...], Any], object] | None = None,
) -> Iterator[None]:
    """Call ``before`` ahead of each call of ``layers``, and ``after`` behind it; on every exit no hook is left.

    ``before`` is given the layer and its inputs, those given by keyword behind the positional ones; ``after`` also the
    output. As in torch, what they return, other than None, takes the place of the inputs or the output. A layer that
    comes several times is watched once. Hooks run in the order in which they were set: of two that watch one layer, the
    outer one first.

    >>> layer, seen = nn.Identity(), []
    >>> with watching([layer], before=lambda _, inputs: seen.append(inputs), after=lambda *_: "replaced"):
    ...     layer("x")
    'replaced'
    >>> layer("y"), seen
    ('y', [('x',)])
    """

    def arrive(layer: Layer, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], Any] | None:
        assert before is not None
        given = before(layer, (*arguments, *named.values()))
        if given is None:
            return None
        given = given if isinstance(given, tuple) else (given,)
        positional = given if not named else given[: len(arguments)]
        return positional, dict(zip(named, given[len(positional) :], strict=True))

    def leave(layer: Layer, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        assert after is not None
        return after(layer, (*arguments, *named.values()), output)

    with ExitStack() as hooks:
        for layer in dict.fromkeys(layers):
            if isinstance(layer, torch.jit.ScriptModule):
                continue
            if before is not None:
                hooks.enter_context(layer.register_forward_pre_hook(arrive, with_kwargs=True))
            if after is not None:
                hooks.enter_context(layer.register_forward_hook(leave, with_kwargs=True))
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module of ``model`` in evaluation mode; each gets its own mode back on every exit."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def normalising_by_batch(layers: Iterable[_BatchNorm]) -> Iterator[None]:
    """Let ``layers`` normalise by the statistics of the batch, as in training, and track none of them."""
    modes = [(layer, layer.training, layer.track_running_stats) for layer in layers]
    try:
        for layer, _, _ in modes:
            layer.training, layer.track_running_stats = True, False
        yield
    finally:
        for layer, training, tracks in modes:
            layer.training, layer.track_running_stats = training, tracks
