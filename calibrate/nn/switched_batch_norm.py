"""Batch normalisation with a switch for what normalises in training, and one for what training leaves behind."""

from typing import Literal, Unpack, get_args

import torch.nn.functional as F
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments, pool

Normalise = Literal["batch", "running"]


class SwitchedBatchNorm(BatchNormVariant):
    """Batch normalisation that training can freeze: what it normalises by, and whether it tracks the batches.

    With m, v the batch's mean and biased variance, and rm, rv the running ones before this step, which are constants::

        y = γ(x − m)/√(v + eps) + β    where ``normalise`` is "batch"
        y = γ(x − rm)/√(rv + eps) + β  where ``normalise`` is "running"

    and then, where ``update_statistics`` is true, rm and rv are updated as BatchNorm does. Inference is BatchNorm's.
    Both switches are attributes to assign. The third one, whether γ and β learn, is ``requires_grad``.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``.

    *Equals BatchNorm when* the switches are as they start, or in inference (bit for bit).

    *Helps when* a part of a pretrained network is frozen, or batches are too small for statistics: with "running" and
    no updates training computes what inference does, on a batch of one too. ``requires_grad=False`` alone does not
    freeze BatchNorm, which goes on normalising by the batch and tracking it.

    *Does not help when* the data differ from those that the running statistics were made of.

    Cost: as BatchNorm's; less where the batch's statistics are not needed.

    Limits: the running statistics are only as good as they were; in evaluation mode the switches do nothing.

    Reference: Adrian G, Batch Norm and Transfer Learning, 2019 (frozen BatchNorm); the switches are torch's own
    behaviour, taken apart.

    >>> SwitchedBatchNorm(3, update_statistics=False, normalise="running")
    SwitchedBatchNorm(3, eps=1e-05, momentum=0.1, update_statistics=False, normalise='running')
    """

    infers_as_batch_norm = True

    def __init__(
        self,
        num_features: int,
        update_statistics: bool = True,
        normalise: Normalise = "batch",
        **options: Unpack[BatchNormOptions],
    ) -> None:
        if normalise not in get_args(Normalise):
            raise ValueError(f"normalise is {normalise!r}; choose one of {', '.join(map(repr, get_args(Normalise)))}")
        super().__init__(num_features, **options)
        self.update_statistics = update_statistics
        self.normalise = normalise

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x`` in training; see the class."""
        weight, bias = self.affine_parameters(x)
        if self.normalise == "batch":
            y = F.batch_norm(x, None, None, weight, bias, training=True, eps=self.eps)
        else:
            mean, var = (moment.clone() for moment in self.running_moments(x))  # the backward pass needs them as now
            y = F.batch_norm(x, mean, var, weight, bias, eps=self.eps)
        if self.update_statistics:
            self.track_(*pool(*instance_moments(x.detach())), x)
        return y

    def extra_repr(self) -> str:
        """BatchNorm's, with the switches."""
        return f"{super().extra_repr()}, update_statistics={self.update_statistics}, normalise={self.normalise!r}"

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (the name torch gave it)
        needs_the_batch = self.update_statistics or self.normalise == "batch"
        if needs_the_batch or input.dim() < 2 or input.shape[1] != self.num_features:
            super()._check_input_dim(input)
