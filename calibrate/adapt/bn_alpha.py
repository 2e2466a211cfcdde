"""BN-α: each batch is normalised by a mixture of its own and the source's statistics.

Reference: Schneider et al., Improving robustness against common corruptions by covariate shift adaptation, NeurIPS
2020, Eq. 3; You et al., Test-time Batch Statistics Calibration for Covariate Shift, 2021, §3 (fixed weights).
"""

from typing import ClassVar

import torch
from torch import Tensor

from calibrate.adapt.adapter import Adapter, Keeps
from calibrate.steps import BNAlpha


class BNAlphaAdapter(Adapter[BNAlpha]):
    """Normalises by the mixture; nothing is learned. Cost: one forward pass."""

    keeps: ClassVar[Keeps] = "runtime"

    def prepare_(self) -> None:
        """Let the layers normalise by the mixture."""
        settings = self.settings
        self.place_by_batch_(
            prior=settings.prior or 0.0, source_weight=settings.source_weight, variant=settings.variant
        )

    def step(self, x: Tensor) -> Tensor:
        """The logits of one pass."""
        with torch.inference_mode():
            return self.forward(x)
