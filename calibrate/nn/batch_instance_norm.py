"""Batch-instance normalisation: a learned mixture of batch and instance normalisation."""

from typing import Unpack

import torch
from torch import Tensor, nn

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments
from calibrate.nn.normalization import normalize


class BatchInstanceNorm(BatchNormVariant):
    """A mixture of batch and instance normalisation, learned for each channel.

    With x̂_B the input normalised as BatchNorm does, and x̂_I by each example's own mean and biased variance::

        y = γ(g·x̂_B + (1 − g)·x̂_I) + β

    g = 1 at the start. It is a weight: :func:`clamp_gates_` after each step of the optimiser keeps it in [0, 1], and
    its authors train it at ten times the rate, without decay.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. The state dict adds ``gate`` (C,) to
    BatchNorm's; where one has none, it stays.

    *Equals BatchNorm when* g = 1. *Equals instance normalisation when* g = 0.

    *Helps when* style (contrast, texture) tells the classes apart in some channels and misleads in others.

    *Does not help when* fine-tuning on few data; StochNorm was better there.

    Cost: one reduction and one pass more than BatchNorm in inference, into whose convolution it does not fold.

    Limits: an input without positions has x̂_I = 0.

    Reference: Nam & Kim, Batch-Instance Normalization for Adaptively Style-Invariant Neural Networks.

    >>> BatchInstanceNorm(2).gate.tolist()
    [1.0, 1.0]
    """

    gate: Tensor

    def __init__(self, num_features: int, **options: Unpack[BatchNormOptions]) -> None:
        super().__init__(num_features, {"gate": 1.0}, **options)

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        instances = instance_moments(x)
        gate = self.gate.to(x.dtype)
        weight, bias = self.affine_parameters(x)
        by_batch = normalize(x, *self.moments(x, instances), weight * gate, bias, self.eps)
        return by_batch + normalize(x, *instances, weight * (1 - gate), None, self.eps)


@torch.no_grad()
def clamp_gates_(model: nn.Module) -> None:
    """Bring the gates of every BatchInstanceNorm in ``model`` back into [0, 1]; call it after the optimiser's step.

    >>> layer = BatchInstanceNorm(2)
    >>> hook = torch.optim.SGD(layer.parameters()).register_step_post_hook(lambda *_: clamp_gates_(layer))
    """
    for module in model.modules():
        if isinstance(module, BatchInstanceNorm):
            module.gate.clamp_(0, 1)
