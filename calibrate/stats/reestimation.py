"""Re-estimation: the running statistics of a network measured anew on data."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from calibrate.errors import UsageError
from calibrate.io import fingerprint
from calibrate.memory_limits import memory_budget
from calibrate.result import Listener, Progress, silent
from calibrate.stats.batches import Batches, as_batches
from calibrate.stats.gathered import Exchange, Gathered
from calibrate.stats.gatherings import Gatherings
from calibrate.stats.moments import Moments
from calibrate.stats.prior import Prior, Variant
from calibrate.stats.repeated import Repeated, measure_repeated, settle_repeated_
from calibrate.stats.saved_state import ReestimationState
from calibrate.stats.store import restored_on_failure
from calibrate.surgery import Site, copied, evaluating, find_sites, with_statistics

Order = Literal["in_order", "batch"]


@dataclass(frozen=True, slots=True, eq=False)
class Reestimated:
    """What was measured: the moments of each layer's input by the layer's first name, over ``images`` examples.

    ``idle`` are layers that no example came to; they keep their statistics. ``repeated`` are those that are called
    several times in a pass, with what is left between their statistics and their inputs'.
    """

    moments: Mapping[str, Moments]
    images: int
    idle: tuple[str, ...]
    repeated: Mapping[str, Repeated]


def reestimate(
    model: nn.Module,
    batches: Iterable[Tensor | Sequence[Tensor]] | Batches,
    *,
    order: Order = "in_order",
    samples: int | None = None,
    prior: float = 0.0,
    variant: Variant = "moments",
    weight: float | Mapping[str, float] | None = None,
    sites: Sequence[str] = ("*",),
    memory: int | None = None,
    checkpoint: ReestimationState | None = None,
) -> nn.Module:
    """A copy of ``model`` whose matching BatchNorm layers have the statistics of ``batches``: see :func:`reestimate_`.

    >>> import torch; network = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 2))
    >>> tuned = reestimate(network, [torch.tensor([[1.0], [2.0]]), torch.tensor([[6.0]])])
    >>> [round(float(buffer), 4) for buffer in (tuned[0].running_mean, tuned[0].running_var, network[0].running_mean)]
    [3.0, 4.6667, 0.0]
    """
    tuned = copied(model)
    reestimate_(
        tuned,
        batches,
        order=order,
        samples=samples,
        prior=prior,
        variant=variant,
        weight=weight,
        sites=sites,
        memory=memory,
        checkpoint=checkpoint,
    )
    return tuned


def reestimate_(
    model: nn.Module,
    batches: Iterable[Tensor | Sequence[Tensor]] | Batches,
    *,
    order: Order = "in_order",
    samples: int | None = None,
    prior: float = 0.0,
    variant: Variant = "moments",
    weight: float | Mapping[str, float] | None = None,
    sites: Sequence[str] = ("*",),
    memory: int | None = None,
    checkpoint: ReestimationState | None = None,
    exchange: Exchange | None = None,
    channels: Mapping[str, Tensor] | None = None,
    see: Callable[[int, Any], None] | None = None,
    progress: Listener = silent,
) -> Reestimated:
    """Give the matching layers of ``model`` the mean and biased variance (÷n) of their inputs over ``batches``.

    ``batches`` are tensors as the network takes them, or sequences that begin with one; ``samples`` stops after so many
    examples. The rest of the network is in evaluation mode, dropout too, and everything borrowed is given back; where
    anything fails, the statistics too.

    ``in_order``: each layer's moments are those of its input when all layers before it have their new statistics; where
    no layer is called several times in a pass, the same as with the whole set as one batch in training. Moments are
    pooled in float64, each example's place in the pool fixed by its number. ``batch``: the layers before use each
    batch's own, in one pass.
    A layer that is called several times has one mean and variance for all calls, so ``in_order`` gives it those of all
    its inputs in evaluation mode, where each call normalises by exactly what is stored: a fixed point, which is found
    in rounds, to 1e-4 standard deviations and in log variance; else what came nearest in 60 rounds stays. ``batch``
    pools its calls while each normalises by its own moments, and a pass more measures how far off that is, if
    ``batches`` can be gone through again. What is left is in ``repeated``.
    ``prior`` and ``variant``: see :class:`~calibrate.stats.prior.Prior`; with ``in_order`` the mixed statistics are the
    ones that the next layers see. ``weight`` is λ itself, in place of a prior: of all layers, or by their first names;
    those without a name there take new statistics alone. Of a layer whose first name is in ``channels``, only the
    channels (C,) that are true there get new statistics.

    From a ``checkpoint`` an interrupted call goes on with the same arguments and data, and ends with the same bits, if
    torch has as many threads as before: their number changes the last bits of a convolution.
    ``exchange`` makes this one of several processes, each with batches numbered apart: it is given what this one has
    pooled of a call, and gives back the pool of all.
    ``see`` is given the outputs of the network with its new statistics, with ``in_order``: of each batch, behind the
    number of its first example. Not where ``repeated`` has layers, whose statistics are settled later.

    Cost: one forward of each example, with the moments about two plain passes in time (``batch``: 1.2); and for
    ``in_order`` memory for what all batches hold where they wait. ``memory`` bounds that, in bytes, with 8 MiB of
    stack for each batch (without it, a quarter of what the process may use, or of the GPU's free memory): of K calls,
    batches beyond it cost K/2 + 1 passes of theirs. Where layers are called several times, as much again for each round
    (mostly 2 to 20), as far as the last of these calls, and once for the layers behind it.
    Reference: Wu & Johnson, Rethinking "Batch" in BatchNorm, 2021, §3; Li et al., AdaBN, 2018, §3 (on target data).
    """
    if weight is not None and prior:
        raise UsageError(
            f"prior is {prior:g} and weight {weight}: both say how much the old statistics count; give one."
        )
    chosen = with_statistics(find_sites(model), sites)
    layers = {site.module: site.name for site in chosen}
    weights = weight if isinstance(weight, Mapping) else dict.fromkeys(layers.values(), weight)
    gathered = Gathered()
    device = chosen[0].module.get_buffer("running_mean").device
    room = memory_budget(device) if memory is None else memory
    if checkpoint is not None:
        gathered = checkpoint.begin_(_request(model, chosen, order, samples, prior, variant, weight, channels), device)

    def keep(gathered: Gathered) -> None:
        if checkpoint is not None:
            checkpoint.keep_(gathered)

    def tell(done: int, total: int) -> None:
        progress(Progress("reestimate", done, total))

    def tell_round(done: int, total: int) -> None:
        progress(Progress("reestimate, layers called several times", done, total))

    with restored_on_failure(layers) as old, evaluating(model):
        gatherings = Gatherings(
            model,
            as_batches(batches, samples),
            gathered,
            old,
            {layer: Prior(prior, variant, weights.get(name, None)) for layer, name in layers.items()},
            room,
            exchange or (lambda pool: pool),
            keep,
            {layer: channels[name] for layer, name in layers.items() if name in channels} if channels else {},
            see or (lambda *_: None),
        )
        if order == "in_order":
            first = gatherings.in_order(layers, tell=tell)
            moments, repeated = settle_repeated_(layers, first, gatherings.mix, gatherings.in_order, tell_round)
        else:
            first = gatherings.in_batches(layers)
            gatherings.batches = as_batches(batches, samples)  # a loader may shuffle: this pass stands alone
            again = None if gatherings.batches.once else gatherings.in_order
            moments, repeated = {}, measure_repeated(layers, first, gatherings.mix, again)
    if checkpoint is not None:
        checkpoint.end_()
    moments = {**first.moments, **moments}
    return Reestimated(
        {name: moments[name] for name in layers.values() if name in moments},
        first.images,
        tuple(name for name in layers.values() if name not in moments),
        repeated,
    )


def _request(
    model: nn.Module,
    sites: Sequence[Site],
    order: Order,
    samples: int | None,
    prior: float,
    variant: Variant,
    weight: float | Mapping[str, float] | None,
    channels: Mapping[str, Tensor] | None,
) -> str:
    about: tuple[object, ...]
    about = (fingerprint(model.state_dict()), [site.name for site in sites], order, samples, prior, variant)
    if weight is not None:
        about = (*about, weight if isinstance(weight, float | int) else sorted(weight.items()))
    if channels:
        about = (*about, {name: chosen.tolist() for name, chosen in channels.items()})
    return hashlib.sha256(repr(about).encode()).hexdigest()
