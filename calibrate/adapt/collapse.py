"""The collapse: an adapted network that came to predict one class with certainty, whatever it is shown."""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn

from calibrate.adapt.adapter import entropy
from calibrate.steps import CollapseRule


@dataclass(slots=True)
class _Counts:
    """How many predictions named the suspect, and the sum of the entropies of all."""

    named: int = 0
    entropy: float = 0.0


class CollapseDetector:
    """Watches the predictions for a stream by ``rule``, and asks ``source`` where it has a suspicion.

    ``passes`` counts what that cost, in forward passes of the source.
    """

    def __init__(self, rule: CollapseRule, source: nn.Module) -> None:
        self._rule, self._source = rule, source
        self.passes = 0
        self.forget_()

    def forget_(self) -> None:
        """Begin anew, as if all predictions so far had been uniform."""
        self._means: tuple[Tensor, float] | None = None
        self._begin_check_(None)

    def observe_(self, x: Tensor, logits: Tensor) -> bool:
        """Whether the predictions have collapsed, now that ``logits`` (n, K) came of the batch ``x``."""
        classes = logits.shape[1]
        suspect = self._suspect(logits.detach())
        if suspect != self._suspected:
            self._begin_check_(suspect)
        if suspect is None:
            return False
        with torch.inference_mode():
            source = self._source(x)
        self.passes += 1
        self._checked += len(x)
        for counts, outputs in ((self._own, logits.detach()), (self._sources, source)):
            counts.named += int((outputs.argmax(1) == suspect).sum())
            counts.entropy += float(entropy(outputs).sum())
        if self._checked < self._rule.checked:
            return False
        own, sources, rule = self._own, self._sources, self._rule
        collapsed = own.named > self._most(classes) * self._checked and (
            sources.named < rule.source_share * own.named or own.entropy < rule.source_entropy * sources.entropy
        )
        self._begin_check_(suspect)
        return collapsed

    def _begin_check_(self, suspect: int | None) -> None:
        self._suspected, self._checked = suspect, 0
        self._own, self._sources = _Counts(), _Counts()

    def _most(self, classes: int) -> float:
        """The share of the predictions beyond which a class is suspect."""
        return 1 / classes + self._rule.share * (1 - 1 / classes)

    def _suspect(self, logits: Tensor) -> int | None:
        """The class that takes too many predictions of late, where they are sure too."""
        count, classes = logits.shape
        shares, mean_entropy = self._means or (torch.full((classes,), 1 / classes, dtype=torch.float64), log(classes))
        kept = (1 - 1 / self._rule.memory) ** count
        shares = kept * shares + (1 - kept) * logits.argmax(1).bincount(minlength=classes).cpu() / count
        mean_entropy = kept * mean_entropy + (1 - kept) * float(entropy(logits).mean())
        self._means = shares, mean_entropy
        share, suspect = shares.max(0)
        if float(share) > self._most(classes) and mean_entropy < self._rule.entropy_share * log(classes):
            return int(suspect)
        return None
