"""Input batch normalisation: a network's data normalised by a layer instead of by constants."""

from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.normalization import normalize

#: Standard deviation of a unit Gaussian after a rectifier.
ACTIVATED = 0.58


class InputBatchNorm(BatchNormVariant):
    """Batch normalisation to stand before a network, in place of a data set's mean and standard deviation.

    With x̂ the input normalised as BatchNorm does::

        y = γ̂·x̂,  γ̂ = 0.58·scale at the start

    where ``scale`` is what γ starts at in the rest of the network, and 0.58 the standard deviation that a rectifier
    leaves of a unit Gaussian: then gradients have one size from the first layer on. There is no activation after it, so
    β = 0 is a buffer.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``.

    *Equals BatchNorm when* its γ is 0.58·scale and its β 0.

    *Helps when* a network is trained from scratch with small γ, on data whose range is not known beforehand.

    *Does not help when* the network is trained already: its first layer expects the constants.

    Cost: one pass over the input; nothing in inference once folded.

    Limits: it takes the place of no layer; ``prepend_input_batch_norm_`` puts it before a network. Data must come as
    they are, not normalised.

    Reference: Davis & Frank, Revisiting Batch Normalization, §3.4.

    >>> [round(scale, 4) for scale in InputBatchNorm(3, scale=0.1).weight.tolist()]
    [0.058, 0.058, 0.058]
    """

    infers_as_batch_norm = True
    scale = 1.0

    def __init__(self, num_features: int, scale: float = 1.0, **options: Unpack[BatchNormOptions]) -> None:
        super().__init__(num_features, **options)
        if not self.affine:
            raise ValueError("affine is False, and an InputBatchNorm is there for its γ; leave affine out")
        del self.bias
        self.register_buffer("bias", torch.empty_like(self.weight))
        self.scale = scale
        self.reset_parameters()

    @classmethod
    def from_batch_norm(cls, *_: Any, **__: Any) -> Self:
        """Refused: the layer stands before a network, not in the place of one of its layers."""
        raise ValueError("an InputBatchNorm stands before the network: use prepend_input_batch_norm_")

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x`` in training; see the class."""
        return normalize(x, *self.moments(x), *self.affine_parameters(x), self.eps)

    def reset_parameters(self) -> None:
        """Set running statistics and γ̂ to what they start at."""
        super().reset_parameters()
        if self.affine:
            nn.init.constant_(self.weight, ACTIVATED * self.scale)

    def extra_repr(self) -> str:
        """BatchNorm's, with the scale."""
        return f"{super().extra_repr()}, scale={self.scale}"
