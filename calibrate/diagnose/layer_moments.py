"""What normalisation layers store, what goes into them while all of them are sound, and what eps makes of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from calibrate.stats import Batches, Moments, as_batches
from calibrate.surgery import (
    REFUSALS,
    Site,
    affine_of,
    copied,
    eps_of,
    evaluating,
    find_sites,
    is_own,
    sound_channels,
    watching,
)

#: So many examples tell statistics that are wrong from ones that only look so; fewer than the least tell nothing.
EXAMPLES, FEWEST = 32, 8
#: What looks at each example alone takes them in parts, whose activations are small.
PART = 4
#: A running variance is tiny up to so many times eps.
TINY = 10
#: Beyond this it is worth a look, and so is a running mean so many running standard deviations from 0 (11 at most in
#: five sound networks).
LOUD, FAR = 1e4, 100.0


def keeps_statistics(module: nn.Module) -> bool:
    """Whether ``module``, a normalisation layer of any kind, has running statistics."""
    return all(getattr(module, name, None) is not None for name in ("running_mean", "running_var"))


@dataclass(frozen=True, eq=False)
class Stored:
    """The running statistics of one site, (C,) each in float64 on the CPU, and how many ``batches`` were counted.

    ``used`` are the channels whose γ is not 0: in others only what is not finite does harm.
    """

    site: Site
    mean: Tensor
    variance: Tensor
    eps: float
    batches: int | None
    used: Tensor

    @classmethod
    def of(cls, site: Site) -> Self:
        """Those of ``site``, which keeps them."""
        layer: Any = site.module
        mean, variance = (
            values.detach().flatten().to("cpu", torch.float64) for values in (layer.running_mean, layer.running_var)
        )
        counter, (gamma, _) = getattr(layer, "num_batches_tracked", None), affine_of(layer)
        used = torch.ones_like(mean, dtype=torch.bool) if gamma is None else gamma.detach().cpu() != 0
        return cls(site, mean, variance, eps_of(layer), None if counter is None else int(counter), used)

    @cached_property
    def broken(self) -> Tensor:
        """Channels whose statistics are NaN, Inf, or a negative variance."""
        return ~sound_channels(self.mean, self.variance)

    @property
    def is_as_made(self) -> bool:
        """Whether all are what a layer begins with."""
        return bool((self.mean == 0).all() and (self.variance == 1).all())

    @cached_property
    def tiny(self) -> Tensor:
        """Channels in which eps decides what comes out."""
        return self.variance <= TINY * self.eps

    @cached_property
    def offset(self) -> Tensor:
        """|rm| in running standard deviations."""
        return self.mean.abs() / (self.variance + self.eps).sqrt()

    @property
    def is_suspect(self) -> bool:
        """Whether inputs could show more than the statistics alone."""
        return self.is_as_made or bool((self.tiny | (self.variance > LOUD) | (self.offset > FAR)).any())


def first_examples(inputs: Tensor | Iterable[Tensor | Sequence[Tensor]] | Batches) -> Tensor:
    """The first ``EXAMPLES`` of ``inputs``, (n, C, *)."""
    parts: list[Tensor] = []
    for _, batch in as_batches([inputs] if isinstance(inputs, Tensor) else inputs).after(0):
        parts.append(batch[: EXAMPLES - sum(map(len, parts))])
        if sum(map(len, parts)) == EXAMPLES:
            break
    return torch.cat(parts)


def input_moments(model: nn.Module, x: Tensor) -> Mapping[str, Moments]:
    """The moments of what goes into each layer that keeps statistics, by its first name, all normalising by the batch.

    So no layer is judged by what a sick one before it puts out. Half precision is widened where that works.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        with suppress(*REFUSALS):
            return _input_moments(copied(model).float(), x.float())
    return _input_moments(model, x)


def _input_moments(model: nn.Module, x: Tensor) -> Mapping[str, Moments]:
    layers = {
        site.module: site.name
        for site in find_sites(model)
        if keeps_statistics(site.module) and not (site.obstacle and is_own(site.module))
    }
    found: dict[str, Moments] = {}

    def before(layer: Any, arguments: tuple[Tensor, ...]) -> None:
        own, name = Moments.of(arguments[0].detach()), layers[layer]
        found[name] = found[name].merge(own) if name in found else own
        layer.running_mean = own.mean.to(layer.running_mean)
        layer.running_var = own.variance.to(layer.running_var)

    with (
        _given_back(layers, ("running_mean", "running_var")),
        watching(layers, before=before),
        evaluating(model),
        torch.inference_mode(),
    ):
        model(x)
    return {
        name: Moments(own.count, own.mean.to("cpu"), own.variance.to("cpu"))
        for name, own in found.items()
        if own.mean.isfinite().all() and own.variance.isfinite().all()
    }


def effect_of_eps(model: nn.Module, names: Sequence[str], x: Tensor) -> dict[str, float]:
    """How much of an example's probability moves, in the mean, with the eps of the layers ``names`` × 10 and × 0.1.

    On the first ``FEWEST`` of ``x``. Layers of the network's own classes, whose eps is in their code, are left out.
    """
    layers: list[Any] = [layer for name in names if not is_own(layer := model.get_submodule(name))]
    if not layers:
        return {}

    def probabilities() -> Tensor:
        return torch.cat([model(part).double().softmax(1) for part in x[:FEWEST].split(PART)])

    with evaluating(model), torch.inference_mode(), _given_back(layers, ("eps",)):
        own = [layer.eps for layer in layers]
        usual = probabilities()
        moved = {}
        for factor in (10, 0.1):
            for layer, eps in zip(layers, own, strict=True):
                layer.eps = eps * factor
            moved[f"change_at_{factor}_eps"] = float((probabilities() - usual).abs().sum(1).mean() / 2)
    return moved if all(value == value for value in moved.values()) else {}


@contextmanager
def _given_back(layers: Iterable[Any], attributes: Sequence[str]) -> Iterator[None]:
    """Within, ``attributes`` of ``layers`` may be other ones; on every exit they are the very same again."""
    own = [(layer, name, getattr(layer, name)) for layer in layers for name in attributes]
    try:
        yield
    finally:
        for layer, name, value in own:
            setattr(layer, name, value)
