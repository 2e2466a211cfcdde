"""The collapse: an adapted network that came to answer one class, whatever it is shown."""

from math import log

import torch
from torch import Tensor, nn

from calibrate.adapt.adapter import entropy
from calibrate.recipe.adapters import CollapseRule


class CollapseDetector:
    """Watches the answers to a stream by ``rule``, and asks ``source`` where it has a suspicion.

    ``passes`` counts what that cost, in forward passes of the source. A stream that the source itself answers with one
    class cannot be told from a collapse onto that class.
    """

    def __init__(self, rule: CollapseRule, source: nn.Module) -> None:
        self._rule, self._source = rule, source
        self.passes = 0
        self.forget_()

    def forget_(self) -> None:
        """Begin anew, as if all answers so far had been uniform."""
        self._means: tuple[Tensor, float] | None = None
        self._begin_check_(None)

    def collapsed(self, x: Tensor, logits: Tensor) -> bool:
        """Whether the answers have collapsed, now that the batch ``x`` was answered with ``logits`` (n, K)."""
        suspect = self._suspect(logits.detach())
        if suspect != self._suspected:
            self._begin_check_(suspect)
        if suspect is None:
            return False
        with torch.inference_mode():
            answers = self._source(x).argmax(1)
        self.passes += 1
        self._checked += len(answers)
        self._found += int((answers == suspect).sum())
        if self._checked < self._rule.checked:
            return False
        collapsed = self._found < self._rule.source_share * self._checked
        self._begin_check_(suspect)
        return collapsed

    def _begin_check_(self, suspect: int | None) -> None:
        self._suspected, self._checked, self._found = suspect, 0, 0

    def _suspect(self, logits: Tensor) -> int | None:
        """The class that takes nearly all answers of late, where they are sure too."""
        count, classes = logits.shape
        shares, mean_entropy = self._means or (torch.full((classes,), 1 / classes, dtype=torch.float64), log(classes))
        kept = (1 - 1 / self._rule.memory) ** count
        shares = kept * shares + (1 - kept) * logits.argmax(1).bincount(minlength=classes).cpu() / count
        mean_entropy = kept * mean_entropy + (1 - kept) * float(entropy(logits).mean())
        self._means = shares, mean_entropy
        share, suspect = shares.max(0)
        if float(share) > self._rule.share and mean_entropy < self._rule.entropy_share * log(classes):
            return int(suspect)
        return None
