"""Instance enhancement batch normalisation: features scaled by a gate on their own means."""

from typing import Unpack

import torch
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments
from calibrate.nn.normalization import normalize


class InstanceEnhancementBatchNorm(BatchNormVariant):
    """Batch normalisation whose scale is gated by the mean of the raw input.

    With x̂ the input normalised as BatchNorm does, GAP the mean over an example's positions, and w, b learned for each
    channel::

        y = γ·sigmoid(w·GAP(x) + b)·x̂ + β

    w = 0 and b = −1 at the start, where the gate is 0.269. Without ``instance_statistics`` there is no w (IEBN⁻).

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. The state dict adds ``scale_weight`` and
    ``scale_bias`` (C,) to BatchNorm's; where one has none, they stay.

    *Equals BatchNorm when* w = 0 and γ is divided by sigmoid(b).

    *Helps when* a network is trained from scratch with γ at 1: most of it is the scale below 1, as its ⁻ variant shows.

    *Does not help when* γ starts small and learns slowly: see ``initialize_``.

    Cost: one reduction more than BatchNorm in inference, into whose convolution it does not fold; up to 2 parameters
    more for each channel.

    Limits: the gate depends on the scale of the raw input. Made from a BatchNorm, the layer puts out 0.269 of what that
    did beyond β, so the network must be trained after the change.

    Reference: Liang et al., Instance Enhancement Batch Normalization; Davis & Frank, Revisiting Batch
    Normalization, §4.5, Eq. 28 and 29.

    >>> torch.sigmoid(InstanceEnhancementBatchNorm(2).scale_bias).tolist()
    [0.2689..., 0.2689...]
    """

    scale_weight: Tensor
    scale_bias: Tensor

    def __init__(
        self, num_features: int, instance_statistics: bool = True, **options: Unpack[BatchNormOptions]
    ) -> None:
        starts = {"scale_bias": -1.0}
        if instance_statistics:
            starts["scale_weight"] = 0.0
        super().__init__(num_features, starts, **options)
        self.instance_statistics = instance_statistics

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        instances = instance_moments(x)
        mean, var = self.moments(x, instances)
        gate = self.scale_bias.to(x.dtype)
        if self.instance_statistics:
            gate = gate + self.scale_weight.to(x.dtype) * instances[0]
        weight, bias = self.affine_parameters(x)
        return normalize(x, mean, var, weight * torch.sigmoid(gate), bias, self.eps)

    def extra_repr(self) -> str:
        """BatchNorm's, with the part."""
        return f"{super().extra_repr()}, instance_statistics={self.instance_statistics}"
