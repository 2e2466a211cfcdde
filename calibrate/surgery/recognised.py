"""Recognised layers: batch normalisation of a network's own class, proven by what it puts out."""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from calibrate.errors import said
from calibrate.generators import torch_generator
from calibrate.surgery.formulas import ACTIVATIONS, OTHERS, Draw, batch_norm
from calibrate.surgery.layer_traits import Traits, own_hooks

#: Values of eps that are tried where the output does not show it.
USUAL_EPS = (1e-5, 1e-3, 0.0, 1e-6, 1e-4, 1e-2, 1e-7, 1e-8, 1e-10, 1e-12, 0.1, 1.0)
#: Positions of the inputs that are tried: maps, lines, vectors, volumes.
POSITIONS = ((3, 5), (5,), (), (2, 3, 2))
EXAMPLES = 4
#: How many draws of statistics and inputs a formula must hold for, and by how much it may be off in units of its terms.
DRAWS = 3
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """What a layer computes in evaluation mode: act(γ(x − rm)/√(rv + eps) + β), γ 1 and β 0 where it has none.

    ``act`` is a module without state, or the name of one of its submodules; None where nothing follows.
    """

    eps: float
    act: nn.Module | str | None = None


def holds_statistics(module: nn.Module) -> bool:
    """Whether ``module`` itself, of whatever class, holds a ``running_mean`` and a ``running_var``."""
    state = {**module._parameters, **module._buffers}
    return all(isinstance(state.get(name), Tensor) for name in ("running_mean", "running_var"))


#: What was proven of each layer while it had such traits, and of all layers of traits that copies share.
_found: "WeakKeyDictionary[nn.Module, tuple[Any, Formula | str]]" = WeakKeyDictionary()
_found_of_kind: dict[Any, Formula | str] = {}


def recognise(module: nn.Module) -> Formula | str:
    """The formula of ``module``, which holds statistics; or why it is not batch normalisation, as the end of a clause.

    It runs on copies with drawn statistics, γ and β, on drawn inputs of its number of channels, in float64, or float32
    where it takes no other. What it puts out must be the formula's for each of ``DRAWS`` draws, to rounding, with one
    eps and nothing or one activation behind; so no other formula passes. Copies of a layer are recognised once, and a
    layer again after a change of its :class:`~calibrate.surgery.layer_traits.Traits`.
    Cost: some passes over ``EXAMPLES`` tiny inputs.

    >>> recognise(nn.InstanceNorm2d(3, eps=1e-3, track_running_stats=True))
    Formula(eps=0.001, act=None)
    """
    traits = Traits(module)
    told, found = _found.get(module, (None, ""))
    if told == traits.told:
        return found
    known = _found_of_kind.get(traits.told) if traits.is_shared else None
    found = _prove(module) if known is None else known
    if traits.is_shared:
        _found_of_kind[traits.told] = found
    _found[module] = traits.told, found
    return found


def _prove(module: nn.Module) -> Formula | str:
    if reason := _unfit(module):
        return reason
    reason = ""
    for dtype in TOLERANCE:
        for positions in POSITIONS:
            try:
                with torch.no_grad():
                    found = _Trial(module, dtype, positions).formula()
            except Exception as error:  # whatever its code raises for an input of another kind
                found = f"it takes no input of {_channels(module)} channels alone ({said(error, 120)})"
                reason = reason or found
                continue
            if isinstance(found, Formula):
                return found
            reason = found if not reason or "takes no input" in reason else reason
    return reason


def _channels(module: nn.Module) -> int:
    return int(module.running_mean.numel())  # type: ignore[operator]


def _unfit(module: nn.Module) -> str:
    """Why ``module`` cannot be tried, from its structure."""
    if isinstance(module, torch.jit.ScriptModule):
        return "torch.jit compiled it, so what it computes cannot be changed or watched"
    mean: Any = module.running_mean
    variance: Any = module.running_var
    if own_hooks(module):
        return "it has forward hooks of its own, which may change what it computes"
    if hasattr(module, "alpha"):
        return "it has an attribute alpha of its own, which is where α would go"
    if mean.dim() != 1 or mean.shape != variance.shape or not len(mean):
        return f"its statistics have the shapes {tuple(mean.shape)} and {tuple(variance.shape)}, not one length (C,)"
    if not {"running_mean", "running_var"} <= set(module._buffers) or not mean.is_floating_point():
        return "its running statistics are no floating-point buffers"
    for name in ("weight", "bias"):
        value = getattr(module, name, None)
        if value is None:
            continue
        if name not in {**module._parameters, **module._buffers}:
            return f"its {name} is computed from others (torch.nn.utils.parametrize.remove_parametrizations ends that)"
        if value.shape != mean.shape:
            return f"its {name} has the shape {tuple(value.shape)}, and its statistics {tuple(mean.shape)}"
    return ""


class _Trial:
    """A copy of a layer to try things on."""

    def __init__(self, module: nn.Module, dtype: torch.dtype, positions: tuple[int, ...]) -> None:
        hooks = (module._forward_hooks, module._forward_pre_hooks)  # ours: see `_unfit`
        self.layer: Any = copy.deepcopy(module, {id(those): OrderedDict() for those in hooks}).eval().to("cpu", dtype)
        self.dtype, self.channels, self.positions = dtype, _channels(module), positions
        self.generator = torch_generator(0)
        self.per_channel = (-1, *(1,) * len(positions))

    def formula(self) -> Formula | str:
        """The formula; or why there is none. Raises whatever the layer raises that takes no such input."""
        draws = [self.draw() for _ in range(DRAWS)]
        if reason := self._odd(draws[-1]):
            return reason
        for eps in self.eps_values():
            for act in self.acts(draws[0], eps):
                if all(self.holds(batch_norm(draw, eps, self.per_channel), draw, eps, act) for draw in draws):
                    return Formula(eps, act)
        return self._other(draws)

    def put_(self, **values: Tensor) -> None:
        """Give the layer statistics and parameters, those of them that it has."""
        for name, value in values.items():
            if (own := getattr(self.layer, name, None)) is not None:
                own.copy_(value)

    def draw(self) -> Draw:
        """New statistics, of which some variances are as small as eps, new parameters and inputs."""
        mean, weight, bias = (self._random(self.channels) for _ in range(3))
        variance = 10 ** (6 * self._uniform(self.channels) - 5)
        weight = weight.sign() * (0.5 + weight.abs())
        self.put_(running_mean=mean, running_var=variance, weight=weight, bias=bias)
        ones, zeros = torch.ones_like(weight), torch.zeros_like(bias)
        weight = ones if getattr(self.layer, "weight", None) is None else weight
        bias = zeros if getattr(self.layer, "bias", None) is None else bias
        spread = 2 * (variance + 1e-5).sqrt().view(self.per_channel)
        x = self._random(EXAMPLES, self.channels, *self.positions) * spread + mean.view(self.per_channel)
        return Draw(mean, variance, weight, bias, x, self.layer(x.clone()))

    def eps_values(self) -> Iterator[float]:
        """What eps may be: first what the output shows, rounded where rounding hides it; else the usual values."""
        own = self._stated_eps()
        shown = self._shown_eps()
        if shown is None:
            yield from dict.fromkeys((*own, *USUAL_EPS))
            return
        near = 1e-12 + 1e-5 * abs(shown) if self.dtype == torch.float64 else 1e-9 + 1e-3 * abs(shown)
        yield from (eps for eps in dict.fromkeys((*own, *USUAL_EPS)) if abs(eps - shown) <= near)
        if shown > 0:
            yield float(f"{shown:.8g}")

    def acts(self, draw: Draw, eps: float) -> Iterator[nn.Module | str | None]:
        """What may follow: nothing, one of the layer's own modules, or an activation, with what it shows of itself."""
        yield None
        yield from (name for name, child in self.layer._modules.items() if child is not None)
        z = batch_norm(draw, eps, self.per_channel)
        below = z < -0.1
        if below.any():
            for value, kind in ((draw.y / z, nn.LeakyReLU), (draw.y / z.expm1(), nn.ELU)):
                low, high = float(value[below].amin()), float(value[below].amax())
                if high and high - low <= 1e-4 * (1 + abs(high)):
                    yield kind(float(f"{(low + high) / 2:.5g}"))
        yield from ACTIVATIONS

    def holds(self, z: Tensor, draw: Draw, eps: float, act: nn.Module | str | None) -> bool:
        """Whether the layer put out ``act`` of ``z``, to rounding."""
        try:
            module = self.layer.get_submodule(act) if isinstance(act, str) else act
            wanted = z if module is None else module(z.clone())
        except Exception:  # a submodule that is no activation
            return False
        if not isinstance(wanted, Tensor) or wanted.shape != draw.y.shape:
            return False
        scale = (draw.weight.abs() * (draw.variance + eps).rsqrt()).view(self.per_channel)
        terms = 1 + (draw.x.abs() + draw.mean.abs().view(self.per_channel)) * scale
        return bool(((draw.y - wanted).abs() <= TOLERANCE[self.dtype] * terms).all())

    def _stated_eps(self) -> list[float]:
        """What the layer's attribute ``eps`` says, where it is a number."""
        eps = getattr(self.layer, "eps", None)
        is_number = isinstance(eps, int | float) or (isinstance(eps, Tensor) and eps.numel() == 1)
        return [float(eps)] if is_number else []  # type: ignore[arg-type]

    def _shown_eps(self) -> float | None:
        """Eps as two inputs far above the mean show it, which most activations pass on as they are; None else."""
        one = torch.ones(self.channels, dtype=self.dtype)
        self.put_(running_mean=0 * one, running_var=1e-4 * one, weight=one, bias=one)
        x = torch.full((EXAMPLES, self.channels, *self.positions), 1e3, dtype=self.dtype)
        slope = ((self.layer(2 * x) - self.layer(x.clone())) / 1e3).double()
        values = slope**-2 - 1e-4
        low, high = float(values.amin()), float(values.amax())
        return (low + high) / 2 if low > -1e-9 and high < inf and high - low <= 1e-9 + 1e-3 * high else None

    def _odd(self, draw: Draw) -> str:
        """What shows at once that the layer is no batch normalisation in evaluation mode."""
        if not isinstance(draw.y, Tensor) or draw.y.shape != draw.x.shape:
            got = f"the shape {tuple(draw.y.shape)}" if isinstance(draw.y, Tensor) else type(draw.y).__name__
            return f"for an input of the shape {tuple(draw.x.shape)} it puts out {got}"
        again = self.layer(draw.x.clone())
        if self._differ(again, draw.y):
            return "for the same input it puts out something else the second time"
        if self._differ(self.layer(draw.x[:1].clone()), draw.y[:1]):
            return "it computes statistics of the batch in evaluation mode too"
        for name in ("running_mean", "running_var"):
            own = getattr(self.layer, name).clone()
            self.put_(**{name: 2 * own + 1})
            same = not self._differ(self.layer(draw.x.clone()), draw.y)
            self.put_(**{name: own})
            if same:
                return f"what it puts out does not follow its {name}"
        return ""

    def _differ(self, y: Tensor, other: Tensor) -> bool:
        return bool(((y - other).abs() > 10 * TOLERANCE[self.dtype] * (1 + other.abs().max())).any())

    def _other(self, draws: list[Draw]) -> str:
        """Why the formula does not hold: another that does, or what the output depends on."""
        own = self._stated_eps()
        for reason, formula in OTHERS.items():
            for eps in dict.fromkeys((*own, *USUAL_EPS)):
                if all(self.holds(formula(draw, eps, self.per_channel), draw, eps, None) for draw in draws):
                    return reason
        draw = self.draw()
        if self.positions:
            x = draw.x.clone()
            x.select(-1, 0).add_(1)
            if self._differ(self.layer(x).narrow(-1, 1, 1), draw.y.narrow(-1, 1, 1)):
                return "what it makes of a value depends on the others of the example"
        return "what it puts out is not weight·(x − running_mean)/√(running_var + eps) + bias"

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64).to(self.dtype)
