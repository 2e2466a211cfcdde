"""Looking at a network at work: what it puts out, how its sites are called, and how large its tensors are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from calibrate.errors import ModelError
from calibrate.surgery.borrow import evaluating, watching
from calibrate.surgery.sites import Site

#: What a network raises that does not take its input.
REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, AssertionError)
#: How many channels pictures have.
COLOR_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class Look:
    """What a network did with some examples; sites go by their first names, in the order of their first calls.

    ``outputs`` is the number of logits, ``positions`` the fewest that each site was called with, ``calls`` how often it
    was called; one that no input reaches is in neither. ``finite`` says that all logits were.
    """

    outputs: int
    positions: Mapping[str, int]
    calls: Mapping[str, int]
    finite: bool


def look(model: nn.Module, sites: Sequence[Site], inputs: Tensor) -> Look:
    """Run ``model`` once on ``inputs`` and watch.

    Raises ModelError when the network cannot take such inputs or does not put out logits (N, K).
    """
    names = {site.module: site.name for site in sites}
    positions: dict[str, int] = {}
    calls: dict[str, int] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        name, seen = names[layer], arguments[0].shape[2:].numel()
        positions[name] = min(seen, positions.get(name, seen))
        calls[name] = calls.get(name, 0) + 1

    with watching(names, before=watch), evaluating(model), torch.inference_mode():
        logits = checked_logits(model, inputs)
    return Look(logits.shape[1], positions, calls, bool(logits.isfinite().all()))


def largest_bytes(model: nn.Module, inputs: Tensor) -> int:
    """The bytes of the largest tensor that goes into a module of ``model``, or comes out of one, for ``inputs``.

    Cost: one pass over ``inputs``.

    >>> largest_bytes(nn.Sequential(nn.Linear(4, 100), nn.Linear(100, 2)), torch.zeros(3, 4))
    1200
    """
    sizes = [inputs.nbytes]

    def watch(_module: nn.Module, arguments: tuple[Any, ...], output: Any = None) -> None:
        sizes.extend(leaf.nbytes for leaf in tree_leaves((arguments, output)) if isinstance(leaf, Tensor))

    plain = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]  # take no hooks
    with watching(plain, after=watch), evaluating(model), torch.inference_mode():
        model(inputs)
    return max(sizes)


def checked_logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits (N, K) of ``inputs``, or ModelError saying what came instead."""
    try:
        logits = model(inputs)
    except REFUSALS as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        last = inputs.dim() > 2 and inputs.shape[-1] in COLOR_CHANNELS and inputs.shape[1] not in COLOR_CHANNELS
        hint = (
            " Arrays whose channels come last want --preprocessing '{arrays: {channels_last: true}}'." if last else ""
        )
        raise ModelError(
            f"the network cannot take inputs of shape {tuple(inputs.shape)}: {reason}. Check that preprocessing "
            f"(resize, crop, channels) gives what the network was trained on.{hint}"
        ) from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(inputs):
        got = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"for {len(inputs)} inputs the network puts out {got}, where logits of shape ({len(inputs)}, classes) are "
            "needed; wrap it in a factory that returns the logits alone (--architecture package.module:factory)."
        )
    return logits
