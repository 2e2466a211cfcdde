"""SAR: sharpness-aware minimisation of the entropy of reliable examples, taken back when the predictions collapse.

Reference: Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023, §4 (Eqs. 2–4; recovery).
"""

import math

import torch
from torch import Tensor

from calibrate.adapt.adapter import entropy
from calibrate.adapt.affine import AffineAdapter, optimizer
from calibrate.steps import SAR


class SARAdapter(AffineAdapter[SAR]):
    """Follows the gradient that the entropy has at the sharpest point near by; where nothing is kept, stays.

    With E₀ = ``entropy_share``·ln K and g the gradient of the mean entropy of the examples with H < E₀, over all γ and
    β as one vector: θ′ = θ + ρ·g/‖g‖. The step is by the gradient at θ′, of the mean entropy of those of the examples
    whose H is below E₀ there too. A running mean of that entropy below ``reset_below`` resets γ, β, the optimizer and
    the mean itself; ``tally.resets`` counts it. Cost: two forward and two backward passes, fewer where nothing is kept.

    The layers that the authors leave out, the last ones, are left out by ``sites``.
    """

    mean_entropy: Tensor | None = None

    def begin_(self) -> None:
        """Remember the source."""
        super().begin_()
        self.source = self._values()

    def learn_(self, x: Tensor) -> Tensor:
        """The logits before the step."""
        logits = self.forward(x)
        reliable = self.settings.entropy_share * math.log(logits.shape[1])
        entropies = entropy(logits)
        kept = entropies.detach() < reliable
        if not kept.any():
            return logits
        before = self._values()
        self.backward_(entropies[kept].mean())
        self._climb_()
        entropies = entropy(self.forward(x))
        kept &= entropies.detach() < reliable
        if not kept.any():
            self._put_(before)
            return logits
        loss = entropies[kept].mean()
        self.backward_(loss)
        self._put_(before)
        self.optimizer.step()
        self._watch_(loss.detach())
        return logits

    @torch.no_grad()
    def _climb_(self) -> None:
        gradients = [parameter.grad for parameter in self.learned.values() if parameter.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        scale = self.settings.rho / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        for parameter in self.learned.values():
            if parameter.grad is not None:
                parameter.add_(scale * parameter.grad)

    def _watch_(self, latest: Tensor) -> None:
        mean = self.mean_entropy
        self.mean_entropy = latest if mean is None else torch.lerp(latest, mean, self.settings.decay)
        if self.mean_entropy < self.settings.reset_below:
            self._put_(self.source)
            self.optimizer = optimizer(self.settings.optimizer, self.learned.values())
            self.mean_entropy = None
            self.tally.resets += 1

    def _values(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.learned.values()]

    @torch.no_grad()
    def _put_(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self.learned.values(), values, strict=True):
            parameter.copy_(value)
