"""Looking at a network at work: what it puts out, how its sites are called, and how large its tensors are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from calibrate.errors import ModelError, said
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
    was called; one that no input reaches is in neither. ``finite`` says that all it put out was. ``not_logits`` says
    what it puts out, and what to do, where that is not logits (N, K ≥ 2); ``outputs`` is 0 where it is not (N, K).
    """

    outputs: int
    positions: Mapping[str, int]
    calls: Mapping[str, int]
    finite: bool
    not_logits: str = ""


def look(model: nn.Module, sites: Sequence[Site], inputs: Tensor) -> Look:
    """Run ``model`` once on ``inputs`` and watch; it may put out anything.

    Raises ModelError when the network cannot take such inputs.
    """
    names = {site.module: site.name for site in sites}
    positions: dict[str, int] = {}
    calls: dict[str, int] = {}

    def watch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        shape = getattr(arguments[0], "shape", torch.Size()) if arguments else torch.Size()
        name, seen = names[layer], shape[2:].numel()
        positions[name] = min(seen, positions.get(name, seen))
        calls[name] = calls.get(name, 0) + 1

    with watching(names, before=watch), evaluating(model), torch.inference_mode():
        output = put_out(model, inputs)
    finite = all(bool(leaf.isfinite().all()) for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
    width = output.shape[1] if isinstance(output, Tensor) and output.dim() == 2 and len(output) == len(inputs) else 0
    return Look(width, positions, calls, finite, why_no_logits(output, len(inputs)))


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


def put_out(model: nn.Module, inputs: Tensor) -> Any:
    """What ``model`` puts out for ``inputs``, or ModelError where it cannot take them."""
    try:
        return model(inputs)
    except REFUSALS as error:
        last = inputs.dim() > 2 and inputs.shape[-1] in COLOR_CHANNELS and inputs.shape[1] not in COLOR_CHANNELS
        hint = (
            " Arrays whose channels come last want --preprocessing '{arrays: {channels_last: true}}'." if last else ""
        )
        raise ModelError(
            f"the network cannot take inputs of shape {tuple(inputs.shape)}: {said(error)}. Check that preprocessing "
            f"(resize, crop, channels) gives what the network was trained on.{hint}"
        ) from error


def checked_logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits (N, K) of ``inputs``, or ModelError saying what came instead."""
    logits = put_out(model, inputs)
    if isinstance(logits, Tensor) and logits.dim() == 2 and len(logits) == len(inputs):
        return logits
    raise ModelError(why_no_logits(logits, len(inputs)))


#: What to do with a network that does not put out logits: what works on any output, and how to get logits.
ANY_OUTPUT = (
    "Steps that look at no logits work as it is, such as --recipe '{steps: [{kind: reestimate}]}', or from Python "
    "calibrate.stats.reestimate"
)
FACTORY = "(--architecture package.module:factory)"


def why_no_logits(output: Any, count: int) -> str:
    """What was put out for ``count`` inputs in place of logits (count, K ≥ 2), and what to do; empty for logits.

    It names the task whose networks put out such things.

    >>> why_no_logits(torch.zeros(3, 1), 3).partition(",")[0]
    'for 3 inputs the network puts out one logit each'
    >>> why_no_logits(torch.zeros(3, 2), 3)
    ''
    """
    wanted = f"where logits of shape ({count}, classes), two classes at least, are needed"
    if not isinstance(output, Tensor):
        kind = f"a {type(output).__name__}"
        if isinstance(output, Mapping):
            kind += f" with {', '.join(map(repr, list(output)[:4]))}"
        elif isinstance(output, Sequence) and not isinstance(output, str):
            kind += f" of {len(output)}"
        what = f"{kind}, {wanted}; wrap it in a factory that returns the logits alone {FACTORY}"
        return f"for {count} inputs the network puts out {what}. {ANY_OUTPUT}."
    shape = tuple(output.shape)
    if len(shape) == 2 and shape[0] == count and shape[1] != 1:
        return ""
    what = f"a tensor of shape {shape}, {wanted}; wrap it in a factory that returns the logits alone {FACTORY}"
    if shape in ((count,), (count, 1)) and shape:
        what = (
            f"one logit each, of shape {shape}, as a binary classifier with a sigmoid does (the task `binary`), "
            f"{wanted}; wrap it in a factory whose network returns torch.stack([torch.zeros_like(z), z], 1) for its "
            f"logit z of shape (N,) {FACTORY}: softmax of (0, z) is the sigmoid of z"
        )
    elif len(shape) == 3 and shape[0] != count and shape[1] == count:
        what = (
            f"a tensor of shape {shape}, logits for each step of a sequence, (T, N, K) (the task `custom`), {wanted}; "
            f"wrap it in a factory that returns those of one step, or of each example, alone {FACTORY}"
        )
    elif len(shape) > 2 and shape[0] == count:
        what = (
            f"a tensor of shape {shape}, logits at each position (N, K, *), as for segmentation (the task "
            f"`segmentation`), {wanted}; wrap it in a factory that returns those of each example {FACTORY}"
        )
    return f"for {count} inputs the network puts out {what}. {ANY_OUTPUT}."
