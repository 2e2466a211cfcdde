"""Folding: doing in the convolution that feeds a normalisation layer what does not depend on the example."""

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from calibrate.nn import ExampleWeighed, WhitenedExampleWeighed
from calibrate.surgery.borrow import evaluating, watching
from calibrate.surgery.kinds import eps_of, weighed
from calibrate.surgery.outputs import named_outputs
from calibrate.surgery.sites import Site, find_sites
from calibrate.surgery.swap import replace_

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d

#: Largest |difference| / largest |output| that rounding may explain, in units of the precision's epsilon.
ROUNDING = 100


def for_inference(model: nn.Module, example: Tensor, *, guarded: bool = False) -> nn.Module:
    """A copy of ``model`` that puts out the same at less cost, and can be neither trained nor tuned any more.

    A convolution takes the running statistics of the site that it feeds, and puts out z = (x − rm)/√(rv + eps); all
    that is left of the site is what depends on the example, done in the place of z. Where α = 0 nothing depends on it,
    and the whole BatchNorm goes into the convolution. A convolution takes part if, on ``example`` (N, C, *), it was
    called once and what it put out went to that site, called once, and nowhere else. The other sites stay as they are,
    GroupNorm too, whose channels share their moments, and so does the whole network where the folded one puts out
    something else on ``example``, or nothing. Sites and convolutions with hooks stay too.
    ``guarded``: see :func:`folded`.

    *Equals the network* up to rounding.
    """
    with evaluating(model), torch.inference_mode():
        expected = model(example.clone())  # which the network may change in place
    try:
        made = folded(_frozen(model), example, guarded=guarded)
        with torch.inference_mode():
            actual = made(example)
    except Exception:  # whatever its code raises that looks at what a folded layer had
        return _frozen(model)
    return made if _equal(named_outputs(actual), named_outputs(expected)) else _frozen(model)


def _equal(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Whether the tensors are the same, those of fractions up to rounding."""
    return actual.keys() == expected.keys() and all(
        tensor.shape == actual[name].shape and tensor.dtype == actual[name].dtype and _close(actual[name], tensor)
        for name, tensor in expected.items()
    )


def _close(actual: Tensor, expected: Tensor) -> bool:
    if not expected.is_floating_point() or not expected.numel():
        return torch.equal(actual, expected)
    limits = torch.finfo(expected.dtype)
    error = (actual - expected).abs().max() / expected.abs().max().clamp_min(limits.tiny)
    return bool(error <= ROUNDING * limits.eps)


class OtherRouteError(Exception):
    """An input takes another way through the network than the example by which it was folded."""


def folded(model: nn.Module, example: Tensor, *, guarded: bool = False) -> nn.Module:
    """:func:`for_inference` without its check that the copy puts out the same; ``model`` itself where nothing folds.

    The copy shares all other parameters. Neither it nor ``model`` may be changed while it is in use. ``guarded``: it
    raises OtherRouteError where a folded convolution's output does not go to the layer that was folded into it, as it
    may in a network whose way depends on its input.
    Cost: one pass over ``example``.
    Limits: of a network that reads a convolution's weight elsewhere, the copy computes something else.
    """
    made = copy.deepcopy(model, {id(p): p for p in model.parameters()}).eval()
    if not (pairs := _pairs(made, example)):
        return model
    guard = _Guard()
    for convolution, site in pairs:
        left = _fold_(convolution, weighed(site.module))
        replace_(made, site, left)
        if guarded:
            guard.watch_(convolution, left)
    if guarded:
        made.register_forward_hook(guard.end_)
    return made.eval()


class _Guard:
    """Watches that what each folded convolution puts out is what the rest of its layer is given next."""

    def __init__(self) -> None:
        self._open: dict[nn.Module, Tensor] = {}

    def watch_(self, convolution: nn.Module, left: nn.Module) -> None:
        """Watch a convolution, and what is left of the layer behind it."""

        def put_out(_convolution: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> None:
            if left in self._open:
                self._fail()
            self._open[left] = output

        def take(_left: nn.Module, arguments: tuple[Any, ...]) -> None:
            if not arguments or self._open.pop(left, None) is not arguments[0]:
                self._fail()

        convolution.register_forward_hook(put_out)
        left.register_forward_pre_hook(take)

    def end_(self, *_: object) -> None:
        """At the end of a pass, everything was taken."""
        if self._open:
            self._fail()

    def _fail(self) -> None:
        self._open.clear()
        raise OtherRouteError


def _frozen(model: nn.Module) -> nn.Module:
    with torch.no_grad():  # so that the weights of parts that torch.jit compiled come without the graph of the copying
        return copy.deepcopy(model).eval().requires_grad_(False)


def _fold_(convolution: Convolution, layer: ExampleWeighed) -> nn.Module:
    """Give ``convolution`` the running statistics of ``layer``, in float64; what is left of ``layer``."""
    plain = layer._is_plain()
    fused = fuse_conv_bn_weights(
        convolution.weight.double(),
        _double(convolution.bias),
        _double(layer.running_mean),  # type: ignore[arg-type]  # a site keeps running statistics
        _double(layer.running_var),  # type: ignore[arg-type]
        eps_of(layer),
        _double(layer.weight) if plain else None,
        _double(layer.bias) if plain else None,
    )
    dtype = convolution.weight.dtype
    convolution.weight, convolution.bias = (nn.Parameter(t.detach().to(dtype), requires_grad=False) for t in fused)
    left: list[nn.Module] = [] if plain else [WhitenedExampleWeighed.of(layer)]
    left += layer.following()
    if len(left) == 1 and isinstance(left[0], WhitenedExampleWeighed):
        return left[0]
    return nn.Sequential(*left)  # a module of its own, also where layers share what follows them


def _double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.double()


def _pairs(model: nn.Module, example: Tensor) -> list[tuple[Convolution, Site]]:
    """The convolutions whose output one site reads, and nothing else."""
    sites = {site.module: site for site in find_sites(model) if not site.obstacle and not site.is_group_norm}
    readers = _Readers()
    calls: Counter[nn.Module] = Counter()
    made: dict[int, tuple[Convolution, Tensor]] = {}
    read: list[tuple[Site, Tensor]] = []

    def enter(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls[module] += 1
        readers.inside += 1
        if module in sites:
            read.append((sites[module], arguments[0]))
            readers.count((arguments[0],))

    def leave(module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> None:
        readers.inside -= 1
        if isinstance(module, Convolution) and "weight" in module._parameters:  # else it is computed from others
            made[id(output)] = (module, output)

    watched = [module for module in model.modules() if isinstance(module, Convolution) or module in sites]
    hooked = {module for module in watched if module._forward_hooks or module._forward_pre_hooks}
    with watching(watched, before=enter, after=leave), torch.inference_mode(), readers:
        output = model(example)
        readers.count(output)
    return [
        (made[id(x)][0], site)
        for site, x in read
        if id(x) in made
        and readers.seen[id(x)] == 1
        and calls[site.module] == calls[made[id(x)][0]] == 1
        and not hooked & {site.module, made[id(x)][0]}
    ]


class _Readers(TorchFunctionMode):
    """Counts how often each tensor was read by an operation outside the modules that are watched."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.seen: Counter[int] = Counter()
        self._alive: list[Tensor] = []  # so that no identity is used again

    def count(self, values: Any) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                self.seen[id(value)] += 1
                self._alive.append(value)

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.inside:
            self.count((args, kwargs))
        return function(*args, **kwargs or {})
