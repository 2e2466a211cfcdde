"""ETA: Tent on reliable, non-redundant examples, the surest of which weigh most.

Reference: Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022, §3.1: the filters, the weight
and the mean prediction (Eqs. 3–5). The loss is the mean over the examples kept, as in the authors' code.
"""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from calibrate.adapt.adapter import entropy
from calibrate.adapt.affine import AffineAdapter
from calibrate.steps import ETA

Settings = TypeVar("Settings", bound=ETA)


class ETAAdapter(AffineAdapter[Settings]):
    """Minimises the weighted entropy of the examples kept; where none is, nothing is learned.

    With p = softmax(logits), H its entropy and E₀ = ``entropy_share``·ln K, an example is kept if H < E₀ and
    |cos(p̄, p)| < ``redundancy``, and weighs exp(E₀ − H). p̄ is the running mean of the kept examples' mean p; before
    there is one, all reliable examples are kept. Cost: a forward pass, and a backward pass if anything is kept.

    Limits: a uniform p̄ has |cos| ≥ 1/√K with every prediction, so that a ``redundancy`` below 1/√K then keeps nothing.
    """

    mean_prediction: Tensor | None = None

    def learn_(self, x: Tensor) -> Tensor:
        """The logits before the step."""
        logits = self.forward(x)
        entropies = entropy(logits)
        reliable = self.settings.entropy_share * math.log(logits.shape[1])
        kept = self._kept(logits.detach(), entropies.detach() < reliable)
        if kept.any():
            weights = (reliable - entropies[kept].detach()).exp()
            self.descend_((weights * entropies[kept]).mean() + self.penalty())
        return logits

    def penalty(self) -> Tensor | float:
        """What is added to the loss."""
        return 0.0

    @torch.no_grad()
    def _kept(self, logits: Tensor, reliable: Tensor) -> Tensor:
        probabilities, mean = (
            logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1),
            self.mean_prediction,
        )
        if mean is not None:
            reliable = reliable & (F.cosine_similarity(mean[None], probabilities).abs() < self.settings.redundancy)
        if reliable.any():
            latest = probabilities[reliable].mean(0)
            self.mean_prediction = latest if mean is None else torch.lerp(latest, mean, self.settings.decay)
        return reliable
