"""Statistics health: layers whose running statistics are wrong, whatever data may show, and layers worth knowing."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from calibrate.diagnose.folded import folded_away
from calibrate.result import LISTED_CHANNELS, ConditionKind, LayerCondition
from calibrate.stats import Batches, Moments, as_batches
from calibrate.surgery import Look, Site, evaluating, find_sites, look, watching

#: So many examples tell statistics that are wrong from ones that only look so; fewer than the least tell nothing.
EXAMPLES, FEWEST = 32, 8
#: A running variance is tiny up to so many times eps; where so large a share of a layer's channels has one, eps counts.
TINY, MANY = 10, 0.1
#: A tiny variance is wrong where the mean square of its normalised inputs passes this, in the median of the others. In
#: seven sound networks it came to 14 at most, over images as they are, corrupted, black, and noise.
TOO_LARGE = 100.0
#: A running variance beyond the first is enormous where it is so many times that of the inputs: 500 at most there, but
#: for the first layer, to which images of another scale come (3·10⁵). Without inputs, it is beyond the last two: what
#: 16-bit pixels may bring to the first layer, and more than anything can bring to others.
LOUD, TIMES, LIMIT, LIMIT_OF_FIRST = 1e4, 1e4, 1e8, 1e10
#: A running mean is far from 0 in so many running standard deviations (11 at most there), and beside the inputs' in so
#: many.
FAR, BESIDE = 100.0, 10.0
#: The largest number of float16.
FLOAT16 = 65504.0

REPAIR = (
    "Re-estimate them before anything else: `--recipe repair`, or {kind: reestimate, only: sick} as the first step."
)
AS_TRAINED = (
    "If the network was trained with just these (normalisation frozen from the start), or they were folded into γ and "
    "β, they are right, and the measurement shows it."
)


def statistics_health(
    model: nn.Module,
    inputs: Tensor | Iterable[Tensor | Sequence[Tensor]] | Batches | None = None,
    *,
    seen: Look | None = None,
) -> tuple[LayerCondition, ...]:
    """What is wrong with the running statistics of ``model``'s layers, or worth knowing, in the order of definition.

    ``inputs`` are a tensor (n, C, *) or batches, such as a data loader, of which the first ``EXAMPLES`` are used; with
    them, layers that only look sick are told from ones that are: every layer normalises by the batch, so that each sees
    sound inputs, whose moments m, v are compared with its running mean rm and variance rv. ``seen`` is what is known of
    the calls; it is looked up on two of ``inputs`` where they are given.

    Sick: ``statistics-not-finite`` (NaN, Inf, rv < 0) · ``statistics-never-filled`` (rm = 0 and rv = 1 in all channels;
    not where m, v are just so) · ``variance-too-small`` (rv ≤ 10·eps while (v + (m − rm)²)/(rv + eps) is large, which
    only inputs show) · ``variance-too-large`` (far above v, or what no input brings about) · ``mean-far`` (|rm| > 100
    √(rv + eps), and without inputs, or with m elsewhere). Worth knowing: ``eps-matters`` (rv ≤ 10·eps in many channels;
    with inputs, how far probabilities move at eps × 10 and × 0.1) · ``variance-beyond-float16`` · ``layer-idle``,
    ``layer-repeated`` (the number of calls) · ``batch-norm-folded``.
    Cost: without inputs, and with all in order, none; else up to four passes of ``EXAMPLES`` examples.
    Limits: a layer that no input reaches is not sick; the first layer may look so where inputs are of another scale.

    >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    >>> [(item.kind, item.layer, item.sick) for item in statistics_health(network)]
    [('statistics-never-filled', '0', True)]
    >>> statistics_health(network, torch.tensor([[-1.0], [1.0]]).repeat(4, 2))
    ()
    """
    sites = find_sites(model)
    stored = [Stored.of(site) for site in sites if keeps_statistics(site.module)]
    suspect = any(item.is_suspect for item in stored)
    x = None if inputs is None or not (suspect or seen is None) else first_examples(inputs)
    if seen is None and x is not None:
        seen = look(model, sites, x[:2])
    order = list(seen.positions) if seen is not None and seen.positions else [site.name for site in sites]
    moments = input_moments(model, x) if x is not None and len(x) >= FEWEST and suspect else {}
    found: list[LayerCondition] = []
    for item in stored:
        if not _is_idle(item.site, seen):
            own = None if item.site.obstacle else moments.get(item.site.name)
            found += _of_statistics(item, own, first=item.site.name == order[0])
        elif seen is not None and not seen.finite and item.broken.any():
            found.append(_condition(item, "statistics-not-finite", item.broken))
    if moments and (small := [item for item in found if item.kind == "eps-matters"]):
        effect = _effect_of_eps(model, [item.layer for item in small], x)
        found = [
            item.model_copy(update={"numbers": item.numbers | effect}) if item in small else item for item in found
        ]
    return (*found, *(() if seen is None else _of_calls(sites, seen)), *folded_away(model))


def keeps_statistics(module: nn.Module) -> bool:
    """Whether ``module``, a normalisation layer of any kind, has running statistics."""
    return all(getattr(module, name, None) is not None for name in ("running_mean", "running_var"))


def first_examples(inputs: Tensor | Iterable[Tensor | Sequence[Tensor]] | Batches) -> Tensor:
    """The first ``EXAMPLES`` of ``inputs``, (n, C, *)."""
    parts: list[Tensor] = []
    for _, batch in as_batches([inputs] if isinstance(inputs, Tensor) else inputs).after(0):
        parts.append(batch[: EXAMPLES - sum(map(len, parts))])
        if sum(map(len, parts)) == EXAMPLES:
            break
    return torch.cat(parts)


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
            values.detach().to("cpu", torch.float64) for values in (layer.running_mean, layer.running_var)
        )
        counter, gamma = getattr(layer, "num_batches_tracked", None), getattr(layer, "weight", None)
        used = torch.ones_like(mean, dtype=torch.bool) if gamma is None else gamma.detach().cpu() != 0
        return cls(site, mean, variance, float(layer.eps), None if counter is None else int(counter), used)

    @cached_property
    def broken(self) -> Tensor:
        """Channels whose statistics are NaN, Inf, or a negative variance."""
        return ~(self.mean.isfinite() & self.variance.isfinite() & (self.variance >= 0))

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


def input_moments(model: nn.Module, x: Tensor) -> Mapping[str, Moments]:
    """The moments of what goes into each layer that keeps statistics, by its first name, all normalising by the batch.

    So no layer is judged by what a sick one before it puts out. Half precision is widened.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        model, x = copy.deepcopy(model).float(), x.float()
    layers = {site.module: site.name for site in find_sites(model) if keeps_statistics(site.module)}
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


def _of_statistics(item: Stored, seen: Moments | None, *, first: bool) -> Iterator[LayerCondition]:
    """What there is to say of one layer's statistics; ``seen`` are the moments of its sound inputs, where known."""
    if item.broken.any():
        yield _condition(item, "statistics-not-finite", item.broken)
        return
    everywhere = torch.ones_like(item.tiny)
    if item.is_as_made:
        if seen is None or not _is_standard(seen):
            counted = {} if item.batches is None else {"batches": float(item.batches)}
            yield _condition(item, "statistics-never-filled", everywhere, counted, f"{_cure(item)} {AS_TRAINED}")
        return
    small = _too_small(item, seen)
    if small.any() and seen is not None:
        yield _condition(
            item, "variance-too-small", small, {"normalised": _most(_normalised(item, seen).sqrt(), small)}
        )
    large = _too_large(item, seen, first=first)
    if large.any():
        numbers = {"variance": _most(item.variance, large)}
        if seen is not None:
            ratio = item.variance / (seen.variance + item.eps)
            numbers |= {"inputs": _most(seen.variance, large), "times": _most(ratio, large)}
        yield _condition(item, "variance-too-large", large, numbers)
    far = item.used & (item.offset > FAR) & ~item.tiny & ~large
    if far.any():
        away = (
            far
            if seen is None
            else far & (((seen.mean - item.mean).abs()) > BESIDE * (item.variance + item.eps).sqrt())
        )
        numbers = {"deviations": _most(item.offset, far)}
        if away.any():
            yield _condition(item, "mean-far", away, numbers)
        else:
            precise = "They are right; but the difference has few digits left, so keep this layer in float32."
            yield _condition(item, "mean-far", far, numbers, precise, sick=False)
    if float((item.tiny & ~small).double().mean()) >= MANY:
        keep = "Keep this very eps in an export or another library."
        if seen is None:
            keep += " Data tell channels that carry nothing from statistics that are wrong: give some."
        yield _condition(item, "eps-matters", item.tiny & ~small, {"eps": item.eps}, keep, sick=False)
    if (wide := (item.variance > FLOAT16) & ~large).any():
        keep = "In half precision they become Inf: serve the network in float32 or bfloat16, or fold BatchNorm first."
        yield _condition(
            item, "variance-beyond-float16", wide, {"variance": _most(item.variance, wide)}, keep, sick=False
        )


def _is_standard(seen: Moments) -> bool:
    """Whether the inputs have mean 0 and variance 1, as far as so many tell: then statistics that say so are right."""
    means = seen.mean.abs() < 0.1 + 4 / seen.count**0.5
    variances = seen.variance.log().abs() < 0.2 + 4 * (2 / seen.count) ** 0.5
    return bool((means & variances).all())


def _normalised(item: Stored, seen: Moments) -> Tensor:
    """The mean square of the inputs as the layer normalises them."""
    return (seen.variance + (seen.mean - item.mean).square()) / (item.variance + item.eps)


def _too_small(item: Stored, seen: Moments | None) -> Tensor:
    """Channels with a tiny variance whose inputs do vary; inputs of another scale are as loud in all channels."""
    if seen is None:
        return torch.zeros_like(item.tiny)
    size = _normalised(item, seen)
    others = size[~item.tiny]
    typical = float(others.median()) if len(others) else 1.0
    return item.used & item.tiny & (size > TOO_LARGE * max(1.0, typical))


def _too_large(item: Stored, seen: Moments | None, *, first: bool) -> Tensor:
    """Channels whose variance nothing brings about.

    Images of another scale come to the ``first`` layer, and then its means do not fit either.
    """
    if seen is None:
        return item.used & (item.variance > (LIMIT_OF_FIRST if first else LIMIT))
    beside = (seen.mean - item.mean).abs() / (seen.variance + item.eps).sqrt()
    times = LIMIT_OF_FIRST if first and float(beside.median()) > 1 else TIMES
    return item.used & (item.variance > LOUD) & (item.variance > times * (seen.variance + item.eps))


def _of_calls(sites: Sequence[Site], seen: Look) -> Iterator[LayerCondition]:
    """Layers that no input reaches, or reaches several times."""
    idle = (
        "Neither α nor new statistics do anything there, so it stays as it is: an unused branch, an auxiliary head, "
        "the layer of another domain, or BatchNorm that is applied by a function."
    )
    repeated = (
        "Its calls share one α and one pair of statistics; where their inputs differ, leave it out with `sites`, or "
        "measure."
    )
    for site in sites:
        if _is_idle(site, seen):
            yield LayerCondition(kind="layer-idle", names=site.names, channels=site.channels, cure=idle)
        elif (calls := seen.calls[site.name]) > 1:
            numbers = {"calls": float(calls)}
            yield LayerCondition(
                kind="layer-repeated", names=site.names, channels=site.channels, numbers=numbers, cure=repeated
            )


def _is_idle(site: Site, seen: Look | None) -> bool:
    return seen is not None and site.name not in seen.positions


def _cure(item: Stored) -> str:
    if obstacle := item.site.obstacle:
        return (
            f"Re-estimation leaves this layer alone ({obstacle}): let it see examples in training mode, or take an "
            "earlier checkpoint."
        )
    return REPAIR


def _condition(
    item: Stored,
    kind: ConditionKind,
    channels: Tensor,
    numbers: Mapping[str, float] | None = None,
    cure: str = "",
    *,
    sick: bool = True,
) -> LayerCondition:
    affected = channels.nonzero().flatten().tolist()
    return LayerCondition(
        kind=kind,
        names=item.site.names,
        channels=len(channels),
        affected=len(affected),
        first=tuple(affected[:LISTED_CHANNELS]),
        numbers=dict(numbers or {}),
        cure=cure or _cure(item),
        sick=sick,
    )


def _most(values: Tensor, channels: Tensor) -> float:
    return float(values[channels].max())


def _effect_of_eps(model: nn.Module, names: Sequence[str], x: Tensor | None) -> dict[str, float]:
    """How much of an example's probability moves, in the mean, with the eps of the layers ``names`` × 10 and × 0.1."""
    assert x is not None, "moments are of inputs"
    layers: list[Any] = [model.get_submodule(name) for name in names]

    def probabilities() -> Tensor:
        output: Tensor = model(x)
        return output.double().softmax(1)

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
