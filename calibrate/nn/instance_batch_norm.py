"""Instance-batch normalisation: instance normalisation of the first channels, batch normalisation of the rest."""

from typing import Unpack

import torch
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments
from calibrate.nn.normalization import normalize


class InstanceBatchNorm(BatchNormVariant):
    """Instance normalisation of the first ⌊C·ratio⌋ channels, batch normalisation of the rest.

    With m, v the mean and biased variance of an example's channel over its positions in the first channels, and in the
    rest the batch's in training, the running ones in inference::

        y = γ(x − m)/√(v + eps) + β

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. Running statistics are tracked for all
    channels, as BatchNorm does; those of the first are not used.

    *Equals BatchNorm when* ⌊C·ratio⌋ = 0. *Equals instance normalisation when* ratio = 1.

    *Helps when* early in a network, on data whose appearance (style, lighting) shifts: see the placement ``ibn_a``.

    *Does not help when* deep in a network, where features tell classes apart and instance normalisation loses them.

    Cost: one reduction more than BatchNorm in inference, into whose convolution it does not fold.

    Limits: an input without positions puts out β in the first channels.

    Reference: Pan, Luo, Shi & Tang, Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net.

    >>> InstanceBatchNorm(5, ratio=0.5).instance_channels
    2
    """

    def __init__(self, num_features: int, ratio: float = 0.5, **options: Unpack[BatchNormOptions]) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio is {ratio}; it is a share of the channels, so keep it in [0, 1]")
        super().__init__(num_features, **options)
        self.ratio = ratio

    @property
    def instance_channels(self) -> int:
        """The number of channels that are normalised by each example's own statistics."""
        return int(self.num_features * self.ratio)

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        instances = instance_moments(x)
        is_instance = torch.arange(self.num_features, device=x.device) < self.instance_channels
        mean, var = (
            torch.where(is_instance, own, other)
            for own, other in zip(instances, self.moments(x, instances), strict=True)
        )
        return normalize(x, mean, var, *self.affine_parameters(x), self.eps)

    def extra_repr(self) -> str:
        """BatchNorm's, with the share."""
        return f"{super().extra_repr()}, ratio={self.ratio}"
