"""The prior: how much a layer's old statistics count beside those of the new examples."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from calibrate.nn.normalization import blend
from calibrate.stats.moments import Moments
from calibrate.surgery import sound_channels

Variant = Literal["moments", "published"]


@dataclass(frozen=True, slots=True)
class Prior:
    """The old statistics weigh as much as ``strength`` images: λ = strength / (strength + n) for n new ones.

    Where ``weight`` is given, that is λ itself: at 1 the old ones stay as they are, to the last bit.
    ``moments``: E[x] and E[x²] are mixed, rv = λ·rv₀ + (1 − λ)·v + λ(1 − λ)(m − rm₀)², the variance of the union.
    ``published``: rv = λ·rv₀ + (1 − λ)·v·M / (M − 1) over M values, as the paper's code does; what lies between the
    means is lost. Both: rm = λ·rm₀ + (1 − λ)·m. With λ = 0 both are the new ÷n statistics, and so they are in
    channels whose old ones are not finite, or a negative variance.

    Reference: Schneider et al., Improving robustness against common corruptions by covariate shift adaptation,
    NeurIPS 2020, Eq. 3.

    >>> one = torch.ones(1, dtype=torch.float64)
    >>> old, new = (0 * one, one), Moments(999, 3 * one, one)
    >>> [round(float(Prior(8, name).mix(old, new, 8)[1]), 2) for name in ("moments", "published")]
    [3.25, 1.0]
    """

    strength: float = 0.0
    variant: Variant = "moments"
    weight: float | None = None

    def mix(self, old: tuple[Tensor, Tensor], new: Moments, images: int) -> tuple[Tensor, Tensor]:
        """Mean and variance to store, (C,) in float64; ``old`` are those from before, ``images`` is n."""
        if not (self.strength if self.weight is None else self.weight):
            return new.mean, new.variance
        mean, variance = (moment.to(new.mean) for moment in old)
        share = images / (self.strength + images) if self.weight is None else 1 - self.weight
        weight = torch.tensor(share, dtype=torch.float64, device=new.mean.device)
        sound = sound_channels(mean, variance)
        offset, mixed = blend(variance, new.mean - mean, new.variance, weight)
        if self.variant == "published":
            unbiased = new.variance * (new.count / max(new.count - 1, 1))
            mixed = (1 - weight) * variance + weight * unbiased
        return torch.where(sound, mean + offset, new.mean), torch.where(sound, mixed, new.variance)
