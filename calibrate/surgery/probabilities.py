"""Probabilities: networks that end in softmax or sigmoid, and their logits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from calibrate.surgery.borrow import evaluating, watching
from calibrate.surgery.copying import copied

#: What makes probabilities of logits: of all classes together, or of each by itself.
Link = Literal["softmax", "sigmoid"]

#: How far from 1 the probabilities of all classes may sum up, in float32; in coarser types four units of rounding.
SUM = 1e-4
#: How many examples go through the network at once.
PART = 8

_aten = torch.ops.aten
#: Operations that pass on the values of their first argument, in another shape, type or memory.
PASSING = frozenset(
    operation
    for name in ("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "clone", "_to_copy", "detach", "alias")
    for operation in [getattr(_aten, name)]
)
JOINING = frozenset({_aten.cat, _aten.stack})
SIGMOIDS = frozenset({_aten.sigmoid, _aten.sigmoid_})


@dataclass(frozen=True, slots=True)
class Taken:
    """How logits were taken of a network of probabilities: ``link`` made these of them.

    ``module`` is the name of the softmax or sigmoid that was left out; None where the logarithm of what comes out of
    the network is taken instead.
    """

    link: Link
    module: str | None


class LeftOut(nn.Module):
    """Takes the place of the softmax or sigmoid that a network ended in, and passes its logits on."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name torch gave it)
        """``input`` as it is."""
        return input

    def extra_repr(self) -> str:
        """What was left out."""
        return self.link


def take_logits_(model: nn.Module, inputs: Tensor) -> Taken | None:
    """Make ``model`` put out logits (N, K ≥ 2) if it puts out probabilities of ``inputs`` (n, C, *); how, or None.

    It does where nothing it puts out is negative, and all sums up to 1 over the classes, or in all examples to the same
    multiple of 1, such as 100; or where all lies in 0 to 1 and comes from a sigmoid as its last operation. An
    ``nn.Softmax`` or ``nn.Sigmoid`` at the end is left out, if what is left proves to be the logits; else a forward
    hook takes log p, for sigmoid log p − log(1 − p), of p from the smallest normal number of its type on. The state
    dict stays as it is: :func:`retake_logits_` does the same to another network of the class.
    Cost: two passes over ``inputs``, and one each over their first and their first two, at most.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.Softmax(1)).eval()
    >>> take_logits_(network, torch.randn(4, 2))
    Taken(link='softmax', module='1')
    """
    with evaluating(model), torch.no_grad():
        p = _outputs(model, inputs)
        if (link := _link(model, inputs, p)) is None:
            return None
        taken = Taken(link, _left_out(model, inputs, p, link))
    retake_logits_(model, taken)
    return taken


def retake_logits_(model: nn.Module, taken: Taken) -> None:
    """Make ``model`` put out logits in the way of ``taken``."""
    if taken.module is None:
        model.register_forward_hook(HOOKS[taken.link])
        return
    end = model.get_submodule(taken.module)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module is end:
            model.set_submodule(name, LeftOut(taken.link))


def logits_taken(model: nn.Module) -> Taken | None:
    """How logits were taken of ``model``; None where they were not."""
    for link, hook in HOOKS.items():
        if hook in model._forward_hooks.values():
            return Taken(link, None)
    left = ((name, module) for name, module in model.named_modules() if isinstance(module, LeftOut))
    return next((Taken(module.link, name) for name, module in left), None)


def within_unit_interval(p: Tensor) -> bool:
    """Whether all of ``p`` lies strictly between 0 and 1, and is not all the same."""
    return bool(((p > 0) & (p < 1)).all()) and bool(p.amax() > p.amin())


def _log(_model: nn.Module, _inputs: tuple[Any, ...], p: Tensor) -> Tensor:
    return _logarithm(p, p.dtype).to(p.dtype)


def _log_odds(_model: nn.Module, _inputs: tuple[Any, ...], p: Tensor) -> Tensor:
    wide = p.to(torch.promote_types(p.dtype, torch.float32)).clamp_max(1 - torch.finfo(p.dtype).eps / 2)
    return (_logarithm(wide, p.dtype) - _logarithm(1 - wide, p.dtype)).to(p.dtype)


def _logarithm(p: Tensor, dtype: torch.dtype) -> Tensor:
    return p.to(torch.promote_types(p.dtype, torch.float32)).clamp_min(torch.finfo(dtype).tiny).log()


#: What takes the logits of probabilities, by what made these.
HOOKS: Mapping[Link, Callable[..., Tensor]] = {"softmax": _log, "sigmoid": _log_odds}
#: The modules that make probabilities, and what each computes of logits (n, K).
MODULES: Mapping[Link, type[nn.Module]] = {"softmax": nn.Softmax, "sigmoid": nn.Sigmoid}
FUNCTIONS: Mapping[Link, Callable[[Tensor], Tensor]] = {"softmax": lambda z: z.softmax(1), "sigmoid": torch.sigmoid}


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    return torch.cat([model(part) for part in inputs.split(PART)])


def _link(model: nn.Module, inputs: Tensor, p: Tensor) -> Link | None:
    """What made ``p`` (n, K) the probabilities that it is; None where it is none. ``model`` is in evaluation mode."""
    if p.shape[1] < 2 or not p.is_floating_point():
        return None
    wide, rounding = p.double(), max(SUM, 4 * torch.finfo(p.dtype).eps)
    if not bool((wide >= 0).all()):
        return None
    if _sum_alike(wide, rounding):
        return "softmax"
    if not bool((wide <= 1 + rounding).all()):
        return None
    with _Origins() as origins:
        output = model(inputs[:2])
    return "sigmoid" if isinstance(output, Tensor) and origins.is_of(output, SIGMOIDS) else None


def _sum_alike(p: Tensor, rounding: float) -> bool:
    """Whether the rows of ``p`` sum up to 1, or, not being all the same, to the same multiple of it."""
    sums = p.sum(1)
    if bool(((sums - 1).abs() <= rounding).all()):
        return True
    total = float(sums.mean())
    differ = bool(((p - p[:1]).abs() > rounding * total).any())
    return differ and bool(((sums - total).abs() <= rounding * total).all())


def _left_out(model: nn.Module, inputs: Tensor, p: Tensor, link: Link) -> str | None:
    """The name of the last module called, if it is the ``link`` and ``model`` without it puts out the logits of p."""
    called: list[str] = []
    ends = {module: name for name, module in model.named_modules() if type(module) is MODULES[link] and name}
    with watching(ends, after=lambda module, *_: called.append(ends[module])):
        model(inputs[:1])
    if not called:
        return None
    trial = copied(model)  # in evaluation mode, as ``model`` is
    retake_logits_(trial, Taken(link, called[-1]))
    try:
        logits = _outputs(trial, inputs).double()
    except Exception:  # whatever its code raises that wants probabilities there
        return None
    rounding = 16 * torch.finfo(p.dtype).eps
    same = logits.shape == p.shape and bool(((FUNCTIONS[link](logits) - p).abs() <= rounding).all())
    return called[-1] if same else None


class _Origins(TorchDispatchMode):
    """Remembers of each tensor the operation that made it, and the tensors that it was made of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._made: dict[int, tuple[Any, list[Tensor]]] = {}
        self._alive: list[Any] = []  # so that no identity is used again

    def is_of(self, tensor: Tensor, operations: Iterable[Any]) -> bool:
        """Whether ``tensor`` has the values of a result of ``operations``, or is put together of such results."""
        operation, given = self._made.get(id(tensor), (None, []))
        if operation in operations:
            return True
        if operation in PASSING:
            return bool(given) and self.is_of(given[0], operations)
        return operation in JOINING and all(self.is_of(part, operations) for part in given)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if isinstance(made, Tensor):
            self._made[id(made)] = func.overloadpacket, given
            self._alive += [made, given]
        return made
