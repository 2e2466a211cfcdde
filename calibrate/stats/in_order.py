"""The order ``in_order``: every layer settled on all examples before any of them goes on to the next."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from calibrate.stats.batches import Batches
from calibrate.stats.gathered import Exchange, Gathered, out_of_order
from calibrate.stats.live_memory import live_bytes
from calibrate.stats.moments import Moments
from calibrate.stats.pool import Pool
from calibrate.stats.suspended import Suspended
from calibrate.surgery import watching

#: What a thread may take for its stack, on top of what its batch holds.
STACK_BYTES = 8 << 20

#: Gives a layer the moments of its input, over so many images, to normalise with.
Settle = Callable[[nn.Module, Moments, int], None]


class _ReachedError(Exception):
    """Ends a pass that only had to come this far."""


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
) -> None:
    """Gather call by call, each batch stopping at a call of ``layers`` until all have come that far.

    While what they hold fits ``memory``, and the system has threads for them, the batches wait inside the network,
    suspended; those beyond come anew from the input to each call. The bits are the same either way.
    Cost: with a share f of the batches suspended, f + (1 − f)·(K/2 + 1) passes for K calls.
    """
    here = threading.local()

    def arrive(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        way: _Way = here.way
        gathered.reach_(way.calls, layers[layer])
        if way.calls == gathered.settled:
            if way.first not in gathered.pools[way.calls]:
                gathered.add_(way.calls, Pool.of(way.first, arguments[0]))
                keep(gathered)
            way.pause()
        settle_(layer, gathered.totals[way.calls], gathered.pools[way.calls].examples)
        way.calls += 1

    def go(way: _Way, x: Tensor) -> None:
        here.way = way
        with torch.inference_mode():
            model(x)

    def suspended(first: int, x: Tensor) -> Suspended:
        work = Suspended(lambda: go(_Way(first, lambda: work.stop()), x))
        return work

    def reaches(first: int, x: Tensor) -> bool:
        try:
            go(_Way(first, _reached), x)
        except _ReachedError:
            return True
        return False

    waiting: list[Suspended] = []
    arrived: list[bool] = []
    room = calls = held = end = 0
    with ExitStack() as hooks:
        try:
            for first, x in batches.after(0):
                if not arrived:
                    held_bytes, calls = live_bytes(model, layers, x)
                    room = memory // (held_bytes + STACK_BYTES)
                    hooks.enter_context(watching(layers, before=arrive))
                end = first + len(x)
                if len(waiting) < room and (work := suspended(first, x)).begin():
                    waiting.append(work)
                    arrived.append(work.resume())
                    held = end
                else:
                    room = len(waiting)
                    arrived.append(reaches(first, x))
            while all(arrived):
                gathered.settle_(exchange)
                tell(gathered.settled, calls)
                arrived = [work.resume() for work in waiting]
                if held < end:
                    arrived += [reaches(first, x) for first, x in batches.after(held)]
            if any(arrived):
                raise out_of_order(f"call {gathered.settled + 1} is made for some batches only")
        finally:
            for work in waiting:
                work.abandon()


def _reached() -> None:
    raise _ReachedError
