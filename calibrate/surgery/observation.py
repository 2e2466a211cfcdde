"""Looking at a network at work: what it puts out, how its sites are called, and how large its tensors are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
#: How far beyond 1 probabilities of the coarsest type may lie.
BEYOND = 0.01


#: What a network puts out: logits (N, K ≥ 2), one logit of each example (N,) or (N, 1), logits of each step of a
#: sequence (T, N, K), logits at each position (N, K, *), what was decided (whole numbers, true or false), complex
#: numbers, or anything else.
OutputKind = Literal["logits", "one logit", "steps", "positions", "decisions", "complex", "other"]


@dataclass(frozen=True, slots=True)
class Look:
    """What a network did with some examples; sites go by their first names, in the order of their first calls.

    ``outputs`` is K where it puts out (N, K), else 0; ``positions`` the fewest that each site was called with, and
    ``calls`` how often it was called; one that no input reaches is in neither. ``finite`` says that all it put out was.
    ``put_out`` says what that is, such as "a tuple of 2 for 2 inputs", and ``may_be_probabilities`` that it has the
    shape of logits, none of it is negative, and all of it lies in 0 to 1 or sums up to the same in each example.
    """

    outputs: int
    positions: Mapping[str, int]
    calls: Mapping[str, int]
    finite: bool
    kind: OutputKind
    put_out: str
    may_be_probabilities: bool

    @property
    def is_classifier(self) -> bool:
        """Whether the network puts out logits (N, K) of two classes at least."""
        return self.kind == "logits"


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
    kind = _kind_of_output(model, inputs, output)
    probable = kind == "logits" and _may_be_probabilities(output)
    return Look(width, positions, calls, finite, kind, _described(output, len(inputs)), probable)


def _kind_of_output(model: nn.Module, inputs: Tensor, output: Any) -> OutputKind:
    """What ``output`` is; where there are as many steps as examples, as it comes out for one example more."""
    kind = kind_of_output(output, len(inputs))
    if kind != "positions" or output.dim() != 3 or output.shape[1] != len(inputs):
        return kind
    more = torch.cat([inputs, inputs[:1]])
    with evaluating(model), torch.inference_mode():
        try:
            return kind_of_output(put_out(model, more), len(more))
        except ModelError:  # it takes no other number
            return kind


def _may_be_probabilities(output: Tensor) -> bool:
    sums = output.double().sum(1)
    beyond = bool((output > 1 + BEYOND).any()) and bool(sums.amax() - sums.amin() > BEYOND * sums.amax())
    return bool((output >= 0).all()) and not beyond


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
        model(inputs.clone())
    return max(sizes)


def put_out(model: nn.Module, inputs: Tensor) -> Any:
    """What ``model`` puts out for ``inputs``, or ModelError where it cannot take them."""
    try:
        return model(inputs.clone())  # which the network may change in place
    except REFUSALS as error:
        last = inputs.dim() > 2 and inputs.shape[-1] in COLOR_CHANNELS and inputs.shape[1] not in COLOR_CHANNELS
        hint = (
            " Arrays whose channels come last want the preprocessing '{arrays: {channels_last: true}}'." if last else ""
        )
        raise ModelError(
            f"the network cannot take inputs of shape {tuple(inputs.shape)}: {said(error)}. Check that preprocessing "
            f"(resize, crop, channels) gives what the network was trained on.{hint}"
        ) from error


def checked_logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits (N, K) of ``inputs``, or ModelError saying what came instead."""
    logits = put_out(model, inputs)
    if isinstance(logits, Tensor) and logits.dim() == 2 and len(logits) == len(inputs) and logits.is_floating_point():
        return logits
    raise ModelError(
        f"the network puts out {_described(logits, len(inputs))}, where logits of shape (N, classes) are needed; wrap "
        "it in a module that returns the logits alone."
    )


def kind_of_output(output: Any, count: int) -> OutputKind:
    """What was put out for ``count`` inputs, by its type and shape.

    >>> [kind_of_output(torch.zeros(shape), 3) for shape in ((3, 2), (3, 1), (5, 3, 2), (3, 2, 4, 4), (2, 2))]
    ['logits', 'one logit', 'steps', 'positions', 'other']
    """
    if not isinstance(output, Tensor) or not output.dim():
        return "other"
    if not output.is_floating_point():
        return "complex" if output.is_complex() else "decisions"
    shape = tuple(output.shape)
    if shape in ((count,), (count, 1)):
        return "one logit"
    if shape[0] == count and len(shape) > 1 and shape[1]:
        return "positions" if shape[2:] else "logits"
    return "steps" if len(shape) == 3 and shape[1] == count else "other"


def _described(output: Any, count: int) -> str:
    if isinstance(output, Tensor):
        what = "a tensor" if kind_of_output(output, count) != "one logit" else "one logit each, a tensor"
        dtype = "" if output.is_floating_point() else f" and type {str(output.dtype).removeprefix('torch.')}"
        return f"{what} of shape {tuple(output.shape)}{dtype} for {count} inputs"
    what = f"a {type(output).__name__}"
    if isinstance(output, Mapping):
        what += f" with {', '.join(map(repr, list(output)[:4]))}"
    elif isinstance(output, Sequence) and not isinstance(output, str):
        what += f" of {len(output)}"
    return f"{what} for {count} inputs"
