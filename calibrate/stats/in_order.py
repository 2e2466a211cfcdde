"""The order ``in_order``: every layer settled on all examples before any of them goes on to the next."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.errors import DataError
from calibrate.stats.batches import Batches
from calibrate.stats.gathered import Exchange, Gathered, out_of_order
from calibrate.stats.live_memory import batches_that_fit
from calibrate.stats.moments import Moments
from calibrate.stats.pool import Pool
from calibrate.stats.suspended import Suspended
from calibrate.surgery import watching

#: Gives a layer the moments of its input, over so many images, to normalise with.
Settle = Callable[[nn.Module, Moments, int], None]


class _ReachedError(Exception):
    """Ends a pass that only had to come this far."""


class _EnoughError(Exception):
    """Ends a pass behind the last call that matters."""


@dataclass(eq=False)
class _Way:
    """One batch on its way through the network: its first example, the calls behind it, and how it waits."""

    first: int
    pause: Callable[[], None]
    calls: int = 0


def gather_in_order_(
    model: nn.Module,
    layers: Mapping[nn.Module, str],
    batches: Batches,
    gathered: Gathered,
    settle_: Settle,
    *,
    memory: int,
    exchange: Exchange,
    keep: Callable[[Gathered], None],
    tell: Callable[[int, int], None],
    see: Callable[[int, Any], None],
    given: Collection[nn.Module] = (),
    last: int | None = None,
) -> None:
    """Gather call by call, each batch stopping at a call of ``layers`` until all have come that far.

    While what they hold fits ``memory``, and the system has threads for them, the batches wait inside the network,
    suspended; those beyond come anew from the input to each call. The bits are the same either way.
    Those of the ``layers`` that are ``given`` normalise by the statistics that they have; at them no batch stops.
    Behind the call number ``last`` passes end; else ``see`` is given the output of each batch, behind the number of its
    first example.
    Cost: with a share f of the batches suspended, f + (1 − f)·(K/2 + 1) passes for K calls where they stop; at least 1.
    """
    here = threading.local()
    stops = [layer for layer in layers if layer not in given]

    def arrive(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        way: _Way = here.way
        gathered.reach_(way.calls, layers[layer])
        if way.calls >= gathered.settled:
            if way.first not in gathered.pools[way.calls]:
                gathered.add_(way.calls, Pool.of(way.first, arguments[0]))
                keep(gathered)
            if layer not in given:
                way.pause()
        if layer not in given and settled.get(layer) != way.calls:
            settle_(layer, gathered.totals[way.calls], gathered.pools[way.calls].examples)
            settled[layer] = way.calls
        way.calls += 1
        if way.calls == last:
            raise _EnoughError

    def go(way: _Way, x: Tensor) -> None:
        here.way = way
        with torch.inference_mode(), suppress(_EnoughError):
            see(way.first, model(x))

    def suspended(first: int, x: Tensor) -> Suspended:
        work = Suspended(lambda: go(_Way(first, lambda: work.stop()), x))
        return work

    def reaches(first: int, x: Tensor) -> bool:
        try:
            go(_Way(first, _reached), x)
        except _ReachedError:
            return True
        return False

    settled: dict[nn.Module, int] = {}
    waiting: list[Suspended] = []
    arrived: list[bool] = []
    room = calls = held = end = examples = 0
    with ExitStack() as hooks:
        try:
            for first, x in batches.after(0):
                if not arrived:
                    if stops:
                        room, called = batches_that_fit(memory, model, stops, x)
                        _check_again(batches, [layers[layer] for layer in called])
                        calls = len(called)
                    hooks.enter_context(watching(layers, before=arrive))
                end, examples = first + len(x), examples + len(x)
                if len(waiting) < room and (work := suspended(first, x)).begin():
                    waiting.append(work)
                    arrived.append(work.resume())
                    held = end
                else:
                    room = len(waiting)
                    arrived.append(reaches(first, x))
            while arrived and all(arrived):
                while gathered.settled < len(gathered.names):
                    gathered.settle_(exchange)
                tell(gathered.settled, calls)
                arrived = [work.resume() for work in waiting]
                if held < end:
                    arrived += [reaches(first, x) for first, x in batches.after(held)]
            if any(arrived):
                raise out_of_order(f"call {gathered.settled + 1} is made for some batches only")
            while gathered.settled < len(gathered.names):
                if gathered.pools[gathered.settled].examples < examples:
                    raise out_of_order(f"call {gathered.settled + 1} is made for some batches only")
                gathered.settle_(exchange)
        finally:
            for work in waiting:
                work.abandon()


def _reached() -> None:
    raise _ReachedError


def _check_again(batches: Batches, calls: Sequence[str]) -> None:
    several = [name for name in calls if calls.count(name) > 1]
    if several and batches.once:
        raise DataError(
            f"the batches can be gone through once only, and the layer {several[0]} is called "
            f"{calls.count(several[0])} times in a pass, so that in_order needs several passes to find statistics that "
            "are those of all its inputs; give a list or a data loader, leave the layer out with `sites`, or use the "
            "order batch."
        )
