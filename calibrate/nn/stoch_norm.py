"""Stochastic normalization: each channel drawn to the batch's statistics or to the running ones."""

from typing import Unpack

import torch
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments, pool
from calibrate.nn.normalization import normalize


class StochNorm(BatchNormVariant):
    """Batch normalisation that in training draws, for each channel, the batch's statistics or the running ones.

    With rm, rv the running mean and variance before this step, which are constants, and m, v those of the batch::

        s ~ Bernoulli(p) for each channel and step
        y = γ(x − m)/√(v + eps) + β    where s = 1
        y = γ(x − rm)/√(rv + eps) + β  where s = 0

    and then rm and rv are updated as BatchNorm does. Inference is BatchNorm's.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``.

    *Equals BatchNorm when* p = 1, or in inference (bit for bit).

    *Helps when* a pretrained network is fine-tuned on few data: it regularises, and the pretrained running statistics,
    which conversion keeps, take part in training.

    *Does not help when* data are plenty, or when there are no pretrained statistics to start from.

    Starts: conversion keeps the pretrained running statistics; ``reset_running_stats()`` starts from (0, 1), and
    :func:`calibrate.stats.reestimate` on the target's data, before conversion, from the target's.

    Cost: as BatchNorm's training in separate operations; nothing in inference.

    Limits: the draw comes from torch's generator, so replicas draw alike only if their generators are in one state. The
    authors' code differentiates the s = 0 branch with the statistics after the update, through an operation in place;
    ``published_gradient`` does so too, and is not the gradient of the loss.

    Reference: Kou, You, Long & Wang, Stochastic Normalization, §4.1 and Algorithm 1 (there the running variance is
    biased; in the authors' code and here it is BatchNorm's).

    >>> layer = StochNorm(3, p=0.5)
    >>> layer(torch.randn(4, 3, 5, 5)).shape
    torch.Size([4, 3, 5, 5])
    """

    infers_as_batch_norm = True

    def __init__(
        self, num_features: int, p: float = 0.5, published_gradient: bool = False, **options: Unpack[BatchNormOptions]
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; it is the probability of the batch's statistics, so keep it in [0, 1]")
        super().__init__(num_features, **options)
        self.p = p
        self.published_gradient = published_gradient

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x`` in training; see the class."""
        drawn = torch.rand(self.num_features, device=x.device) < self.p
        mean, var = pool(*instance_moments(x))
        running_mean, running_var = self.running_moments(x)
        chosen_mean, chosen_var = torch.where(drawn, mean, running_mean), torch.where(drawn, var, running_var)
        self.track_(mean, var, x)
        if self.published_gradient:
            updated_var = self.running_moments(x)[1]
            ratio = torch.sqrt((chosen_var.detach() + self.eps) / (updated_var + self.eps)).where(~drawn, 1.0)
            x = x.detach() + ratio.reshape(-1, *(1,) * (x.dim() - 2)) * (x - x.detach())
        return normalize(x, chosen_mean, chosen_var, *self.affine_parameters(x), self.eps)

    def extra_repr(self) -> str:
        """BatchNorm's, with p."""
        published = ", published_gradient=True" if self.published_gradient else ""
        return f"{super().extra_repr()}, p={self.p}{published}"
