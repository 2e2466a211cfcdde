"""Representative batch normalisation: features centred and scaled by their own means."""

from typing import Unpack

import torch
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments
from calibrate.nn.normalization import normalize


class RepresentativeBatchNorm(BatchNormVariant):
    """Batch normalisation of features shifted by their own mean, and scaled by a gate on it.

    With GAP the mean over an example's positions, and w_c, w_s, w_b learned for each channel::

        x′ = x + w_c·GAP(x)
        x̂  = (x′ − m)/√(v + eps)  with m, v of x′: the batch's in training, the running ones in inference
        y  = γ·sigmoid(w_s·GAP(x̂) + w_b)·x̂ + β

    w_c = w_s = 0 and w_b = 1 at the start, where the gate is 0.731. Without ``centering`` there is no w_c; without
    ``instance_statistics`` no w_s (RBN⁻).

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. The state dict adds ``center_weight``,
    ``scale_weight`` and ``scale_bias`` (C,) to BatchNorm's; where one has none, they stay.

    *Equals BatchNorm when* w_c = w_s = 0 and γ is divided by sigmoid(w_b).

    *Helps when* a network is trained from scratch with γ at 1: most of it is the scale below 1, as its ⁻ variant shows.

    *Does not help when* γ starts small and learns slowly: see ``initialize_``.

    Cost: one reduction more than BatchNorm in inference, into whose convolution it does not fold; up to 3 parameters
    more for each channel.

    Limits: made from a BatchNorm, it puts out 0.731 of what that did beyond β, so the network must be trained after the
    change.

    Reference: Gao et al., Representative Batch Normalization with Feature Calibration; without centring Davis &
    Frank, Revisiting Batch Normalization, §4.5, Eq. 28 and 29.

    >>> sorted(RepresentativeBatchNorm(3, centering=False).state_dict())[3:5]
    ['running_var', 'scale_bias']
    """

    center_weight: Tensor
    scale_weight: Tensor
    scale_bias: Tensor

    def __init__(
        self,
        num_features: int,
        instance_statistics: bool = True,
        centering: bool = True,
        **options: Unpack[BatchNormOptions],
    ) -> None:
        starts = {"scale_bias": 1.0}
        if centering:
            starts["center_weight"] = 0.0
        if instance_statistics:
            starts["scale_weight"] = 0.0
        super().__init__(num_features, starts, **options)
        self.instance_statistics = instance_statistics
        self.centering = centering

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class. What x′ adds to x is taken off the mean instead, so ``x`` is read once."""
        own_mean, own_var = instance_moments(x)
        shift = self.center_weight.to(x.dtype) * own_mean if self.centering else torch.zeros_like(own_mean)
        mean, var = self.moments(x, (own_mean + shift, own_var))
        mean = mean - shift
        gate = self.scale_bias.to(x.dtype)
        if self.instance_statistics:
            gate = gate + self.scale_weight.to(x.dtype) * (own_mean - mean) * torch.rsqrt(var + self.eps)
        weight, bias = self.affine_parameters(x)
        return normalize(x, mean, var, weight * torch.sigmoid(gate), bias, self.eps)

    def extra_repr(self) -> str:
        """BatchNorm's, with the parts."""
        return f"{super().extra_repr()}, instance_statistics={self.instance_statistics}, centering={self.centering}"
