"""Inference example weighing as an adapter: stateless, so that any batch gives the predictions it gives alone."""

from typing import ClassVar

import torch
from torch import Tensor

from calibrate.adapt.adapter import Adapter, Keeps
from calibrate.steps import IEW
from calibrate.surgery import find_sites, select, weigh_examples_


class IEWAdapter(Adapter[IEW]):
    """Weighs examples by α; nothing is learned, so a prediction depends on its own example alone.

    *Equals the source when* α is 0, up to rounding. Cost: one forward pass; some more over two images, once.
    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1.
    """

    keeps: ClassVar[Keeps] = "weights"

    def prepare_(self) -> None:
        """Let the layers weigh examples."""
        sites = select(find_sites(self.model), self.settings.sites)
        self.model = weigh_examples_(self.model, sites, self.settings.alpha)

    def step(self, x: Tensor) -> Tensor:
        """The logits of one pass."""
        with torch.inference_mode():
            return self.infer(x)
