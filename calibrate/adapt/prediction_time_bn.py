"""Prediction-time batch normalisation: each batch is normalised by its own statistics.

Reference: Nado et al., Evaluating Prediction-Time Batch Normalization for Robustness under Covariate Shift, 2020, §2.
"""

from typing import ClassVar

import torch
from torch import Tensor

from calibrate.adapt.adapter import Adapter, Keeps
from calibrate.steps import PredictionTimeBN


class PredictionTimeBNAdapter(Adapter[PredictionTimeBN]):
    """Normalises by the batch; nothing is learned, so a prediction depends on the examples beside it.

    *Equals the source when* the batch's statistics are the running ones. Cost: one forward pass.
    """

    keeps: ClassVar[Keeps] = "runtime"

    def prepare_(self) -> None:
        """Let the layers normalise by the batch."""
        self.place_by_batch_()

    def step(self, x: Tensor) -> Tensor:
        """The logits of one pass."""
        with torch.inference_mode():
            return self.forward(x)
