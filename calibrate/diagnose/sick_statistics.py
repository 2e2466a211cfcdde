"""Statistics health: layers whose running statistics are wrong, whatever data may show, and layers worth knowing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from calibrate.diagnose.folded import folded_away
from calibrate.diagnose.layer_moments import (
    FAR,
    FEWEST,
    LOUD,
    Stored,
    effect_of_eps,
    first_examples,
    input_moments,
    keeps_statistics,
)
from calibrate.result import LISTED_CHANNELS, ConditionKind, LayerCondition
from calibrate.stats import Batches, Moments
from calibrate.surgery import Look, Site, find_sites, look

#: Where so large a share of a layer's channels has a tiny variance, eps counts; where so large a share has a wrong one,
#: those of the others cannot be trusted either.
MANY = 0.1
#: A tiny variance is wrong where the mean square of its normalised inputs passes this, in the median of the others. In
#: five sound networks it came to 14 at most, over images as they are, corrupted, black, and noise.
TOO_LARGE = 100.0
#: A running variance beyond ``LOUD`` is enormous where it is so many times that of the inputs: 290 at most there, but
#: for the first layer, to which images of another scale come (1.1·10⁵). Without inputs, it is beyond the last two: more
#: than anything can bring to a layer, and what 16-bit pixels may bring to the first.
TIMES, LIMIT, LIMIT_OF_FIRST = 1e4, 1e8, 1e10
#: A running mean that is far from 0 is wrong where it is so many standard deviations beside that of the inputs.
BESIDE = 10.0
#: The largest number of float16.
FLOAT16 = 65504.0

REPAIR = (
    "Re-estimate them before anything else: `afternorm calibrate --recipe repair`, or {kind: reestimate, only: sick} "
    "as the first step."
)
AS_TRAINED = (
    "If the network was trained with just these (normalisation frozen from the start), or they were folded into γ and "
    "β, they are right, and the measurement shows it."
)


#: What is sick in a layer, and which of its channels (C,).
Examined = tuple[LayerCondition, Tensor]


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
    Cost: without inputs, and with all in order, none; else a pass of ``EXAMPLES`` examples, and up to three of 8.
    Limits: a layer that no input reaches is not sick; the first layer may look so where inputs are of another scale.

    >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    >>> [(item.kind, item.layer, item.sick) for item in statistics_health(network)]
    [('statistics-never-filled', '0', True)]
    >>> statistics_health(network, torch.tensor([[-1.0], [1.0]]).repeat(4, 2))
    ()
    """
    return tuple(condition for condition, _ in _examined(model, inputs, seen))


def sick_channels(
    model: nn.Module,
    inputs: Tensor | Iterable[Tensor | Sequence[Tensor]] | Batches | None = None,
    *,
    seen: Look | None = None,
) -> Mapping[str, Tensor]:
    """Which channels (C,) of each sick layer, by its first name, need new statistics; the arguments are as above.

    Those that are sick; and all, where so many variances are wrong that those of the others, which are off by less, can
    not be trusted either.
    """
    found: dict[str, Tensor] = {}
    for condition, channels in _examined(model, inputs, seen):
        if condition.sick:
            many = float(channels.double().mean()) >= MANY and condition.kind.startswith("variance-")
            needed = torch.ones_like(channels) if many else channels
            found[condition.layer] = found.get(condition.layer, torch.zeros_like(channels)) | needed
    return found


def _examined(
    model: nn.Module, inputs: Tensor | Iterable[Tensor | Sequence[Tensor]] | Batches | None, seen: Look | None
) -> list[Examined]:
    """The conditions, and of those of a layer's statistics the channels."""
    sites = find_sites(model)
    stored = [Stored.of(site) for site in sites if keeps_statistics(site.module)]
    suspect = any(item.is_suspect for item in stored)
    x = None if inputs is None or not (suspect or seen is None) else first_examples(inputs)
    if seen is None and x is not None:
        seen = look(model, sites, x[:2])
    order = list(seen.positions) if seen is not None and seen.positions else [site.name for site in sites]
    moments = input_moments(model, x) if x is not None and len(x) >= FEWEST and suspect else {}
    found: list[Examined] = []
    for item in stored:
        if not _is_idle(item.site, seen):
            own = None if item.site.obstacle else moments.get(item.site.name)
            found += _of_statistics(item, own, first=item.site.name == order[0])
        elif seen is not None and not seen.finite and item.broken.any():
            found.append(_condition(item, "statistics-not-finite", item.broken))
    small = [item.layer for item, _ in found if item.kind == "eps-matters"]
    if x is not None and moments and small and seen is not None and seen.is_classifier:
        found = _with_effect(found, effect_of_eps(model, small, x))
    rest = (*(() if seen is None else _of_calls(sites, seen)), *folded_away(model))
    return [*found, *((item, torch.zeros(0, dtype=torch.bool)) for item in rest)]


def _with_effect(found: Iterable[Examined], effect: dict[str, float]) -> list[Examined]:
    """``found``, with the effect of eps where that matters."""
    return [
        (item.model_copy(update={"numbers": item.numbers | effect}) if item.kind == "eps-matters" else item, channels)
        for item, channels in found
    ]


def _of_statistics(item: Stored, seen: Moments | None, *, first: bool) -> Iterator[Examined]:
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
    quiet = item.tiny & item.used
    if not small.any() and float(quiet.double().mean()) >= MANY:
        keep = "Keep this very eps in an export or another library."
        if seen is None:
            keep += " Data tell channels that carry nothing from statistics that are wrong: give some."
        yield _condition(item, "eps-matters", quiet, {"eps": item.eps}, keep, sick=False)
    if not large.any() and (wide := item.variance > FLOAT16).any():
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
) -> Examined:
    affected = channels.nonzero().flatten().tolist()
    condition = LayerCondition(
        kind=kind,
        names=item.site.names,
        channels=len(channels),
        affected=len(affected),
        first=tuple(affected[:LISTED_CHANNELS]),
        numbers=dict(numbers or {}),
        cure=cure or _cure(item),
        sick=sick,
    )
    return condition, channels


def _most(values: Tensor, channels: Tensor) -> float:
    return float(values[channels].max())
