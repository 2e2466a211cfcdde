"""The order ``batch``: each batch goes through the network once, normalised by its own statistics as in training."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from calibrate.stats.batches import Batches
from calibrate.stats.gathered import Exchange, Gathered
from calibrate.stats.pool import Pool
from calibrate.stats.store import store_
from calibrate.surgery import watching


def gather_in_batches_(
    model: nn.Module,
    layers: Mapping[nn.Module, str],
    batches: Batches,
    gathered: Gathered,
    *,
    exchange: Exchange,
    keep: Callable[[Gathered], None],
) -> None:
    """Pool what goes into each call of ``layers`` while these normalise by the statistics of the batch.

    Limits: what a layer sees depends on how the examples fall into batches; the smaller those, the further off it is.
    Cost: one pass.
    """
    parts: list[Pool] = []

    def arrive(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        gathered.reach_(len(parts), layers[layer])
        part = Pool.of_batch(first, arguments[0])
        parts.append(part)
        of_the_batch = next(iter(part.nodes.values()))
        store_(layer, of_the_batch.mean, of_the_batch.variance)

    with watching(layers, before=arrive):
        for first, x in batches.after(0):
            if gathered.pools and first in gathered.pools[0]:
                continue
            parts.clear()
            with torch.inference_mode():
                model(x)
            for place, part in enumerate(parts):
                gathered.add_(place, part)
            keep(gathered)
    while gathered.settled < len(gathered.names):
        gathered.settle_(exchange)
