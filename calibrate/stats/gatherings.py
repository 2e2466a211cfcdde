"""Gatherings one after the other, of which a checkpoint may have the first."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.stats.batches import Batches
from calibrate.stats.gathered import Exchange, Gathered, Gathering
from calibrate.stats.in_batches import gather_in_batches_
from calibrate.stats.in_order import gather_in_order_
from calibrate.stats.moments import Moments
from calibrate.stats.prior import Prior
from calibrate.stats.store import Stored, store_


@dataclass(eq=False)
class Gatherings:
    """What all gatherings of a re-estimation of ``model`` have in common; ``old`` are the statistics from before.

    Each layer has its prior. Of a layer that is among ``channels``, only those (C,) that are true there are to be
    changed. ``see`` is given the output of each batch that goes through the network to its end, behind the number of
    its first example.
    Each leaves the layers that it settled with what these are to store, also where a checkpoint has it already.
    """

    model: nn.Module
    batches: Batches
    gathered: Gathered
    old: Mapping[nn.Module, Stored]
    priors: Mapping[nn.Module, Prior]
    memory: int
    exchange: Exchange
    keep: Callable[[Gathered], None]
    channels: Mapping[nn.Module, Tensor]
    see: Callable[[int, Any], None] = lambda *_: None
    _recalled: Iterator[Gathering] = field(init=False)

    def __post_init__(self) -> None:
        self._recalled = iter(tuple(self.gathered.over))

    def mix(self, layer: nn.Module, moments: Moments, images: int) -> Stored:
        """What ``layer`` is to store where its inputs have these ``moments`` over so many ``images``."""
        mean, variance = self.priors[layer].mix(self.old[layer], moments, images)
        if layer not in self.channels:
            return mean, variance
        chosen = self.channels[layer].to(mean.device)
        old_mean, old_variance = (values.to(mean) for values in self.old[layer])
        return torch.where(chosen, mean, old_mean), torch.where(chosen, variance, old_variance)

    def in_order(
        self,
        layers: Mapping[nn.Module, str],
        given: Collection[nn.Module] = (),
        last: int | None = None,
        tell: Callable[[int, int], None] = lambda *_: None,
    ) -> Gathering:
        """See :func:`gather_in_order_`."""

        def gather_() -> None:
            gather_in_order_(
                self.model,
                layers,
                self.batches,
                self.gathered,
                self._settle_,
                memory=self.memory,
                exchange=self.exchange,
                keep=self.keep,
                tell=tell,
                see=self.see,
                given=given,
                last=last,
            )

        return self._next(gather_, {layer: name for layer, name in layers.items() if layer not in given})

    def in_batches(self, layers: Mapping[nn.Module, str]) -> Gathering:
        """See :func:`gather_in_batches_`."""

        def gather_() -> None:
            gather_in_batches_(self.model, layers, self.batches, self.gathered, exchange=self.exchange, keep=self.keep)

        return self._next(gather_, layers)

    def _settle_(self, layer: nn.Module, moments: Moments, images: int) -> None:
        store_(layer, *self.mix(layer, moments, images))

    def _next(self, gather_: Callable[[], None], settled: Mapping[nn.Module, str]) -> Gathering:
        found = next(self._recalled, None)
        if found is None:
            if self.gathered.over:
                self.keep(self.gathered)
            gather_()
            found = self.gathered.end_()
        for layer, name in settled.items():
            if name in found.moments:
                self._settle_(layer, found.moments[name], found.images)
        return found
