"""EATA: ETA that is held near the source where the source's predictions depend on it.

Reference: Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022, §3.2 (Eqs. 8 and 9). The
information is that of batches, not of single examples, as in the authors' code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from calibrate.adapt.eta import ETAAdapter
from calibrate.errors import UsageError
from calibrate.steps import EATA


class EATAAdapter(ETAAdapter[EATA]):
    """Adds ``fisher_weight``·Σ F·(θ − θ₀)² to ETA's loss, over all γ and β.

    F is the squared gradient of a batch's mean cross-entropy with the source's own predictions as labels, averaged over
    batches of ``fisher_images`` in-distribution images, or of all where there are fewer; the layers normalise by the
    batch. Cost: ETA's, and before the stream a forward and a backward pass for each of those batches.

    Limits: F depends on the size of those batches.
    """

    def begin_(self) -> None:
        """Remember the source, and what its predictions depend on."""
        super().begin_()
        self.source = [parameter.detach().clone() for parameter in self.learned.values()]
        self.fisher = self._fisher()

    def penalty(self) -> Tensor:
        """The L2 penalty toward the source."""
        penalties = [
            (fisher * (parameter - start).square()).sum()
            for fisher, parameter, start in zip(self.fisher, self.learned.values(), self.source, strict=True)
        ]
        return self.settings.fisher_weight * torch.stack(penalties).sum()

    @torch.enable_grad()
    def _fisher(self) -> list[Tensor]:
        total = [torch.zeros_like(start) for start in self.source]
        batches, left = 0, self.settings.fisher_images
        for item in self.in_distribution:
            batch = item if isinstance(item, Tensor) else item[0]  # a loader gives (x, y)
            if not len(batch):
                continue
            logits = self.forward(batch[:left])
            self.backward_(F.cross_entropy(logits, logits.argmax(1)))
            for squares, parameter in zip(total, self.learned.values(), strict=True):
                squares += 0 if parameter.grad is None else parameter.grad.square()
            batches, left = batches + 1, left - len(logits)
            if left == 0:
                break
        if not batches:
            raise UsageError(
                "eata holds the network near the source by images of the kind it was trained on, and was given none; "
                "give some, of which no labels are needed, or take eta, which needs none."
            )
        self.optimizer.zero_grad()
        return [squares / batches for squares in total]
