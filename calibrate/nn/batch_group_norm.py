"""Batch group normalisation: statistics over groups of channels and groups of examples."""

from typing import Any, Self, Unpack

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.moments import ChannelMoments, instance_moments, pool, pool_blocks
from calibrate.nn.normalization import blend, normalize


class BatchGroupNorm(ExampleWeighed, BatchNormVariant):
    """Normalisation by the statistics of C/G channels in a row of E′ examples in a row.

    With m, v the mean and biased variance over the example's group of channels and of examples, and rm, rv BatchNorm's
    running mean and variance of each channel c::

        training:   y = γ(x − m)/√(v + eps) + β
        inference:  M = mean_c rm,  V = mean_c rv + var_c rm  over the group of channels
                    μ  = (1 − α)·M + α·m′
                    σ² = (1 − α)·V + α·v′ + α(1 − α)(m′ − M)²
                    y  = γ(x − μ)/√(σ² + eps) + β

    where m′, v′ are over the group of channels of the example alone: the grouping of examples disappears.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. ``alpha``, () or (C,), is a buffer as in
    ExampleWeighedBatchNorm; a BatchNorm state dict, which has none, loads and leaves it as it is. Examples left over
    are a group of their own.

    *Equals BatchNorm when* ``num_groups`` = C, ``examples_per_group`` ≥ N and α = 0. *Equals GroupNorm when*
    ``examples_per_group`` = 1 in training, or α = 1 in inference.

    *Helps when* batches are very small, 2 to about 8 examples, and few classes share a batch.

    *Does not help when* the network does not overfit: two examples make noisy statistics. Larger batches do better with
    GhostBatchNorm.

    Cost: as BatchNorm's training in separate operations; in inference one pass at α = 0, two at α > 0.

    Limits: C must be a multiple of ``num_groups``. Groups are each replica's own.

    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, §3.4.

    >>> BatchGroupNorm(2, 8, examples_per_group=2, alpha=0.1)
    BatchGroupNorm(8, eps=1e-05, momentum=0.1, num_groups=2, examples_per_group=2, alpha=0.1)
    """

    size_argument = "num_channels"

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        examples_per_group: int = 2,
        alpha: float | Tensor = 0.0,
        **options: Unpack[BatchNormOptions],
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"{num_channels} channels do not make {num_groups} groups of one size; give a number of groups that "
                "divides them"
            )
        if examples_per_group < 1:
            raise ValueError(f"examples_per_group is {examples_per_group}; give 1 or more")
        super().__init__(num_channels, **options)
        self.num_groups = num_groups
        self.examples_per_group = examples_per_group
        self.register_buffer("alpha", None)
        self.alpha = alpha  # type: ignore[assignment]

    @classmethod
    def from_batch_norm(cls, batch_norm: _BatchNorm, *, num_groups: int = 32, **settings: Any) -> Self:
        """The layer in the place of ``batch_norm``, with ``num_groups``, but not more than there are channels."""
        groups = min(num_groups, batch_norm.num_features)
        return super().from_batch_norm(batch_norm, num_groups=groups, **settings)

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        if not self.training:
            return self.weigh(x)
        instances = instance_moments(x)
        values = x.shape[2:].numel() * (self.num_features // self.num_groups)
        mean, var = pool_blocks(*self._over_groups(*instances), self.examples_per_group, values)
        self.track_(*pool(*instances), x)
        return normalize(x, mean, var, *self.affine_parameters(x), self.eps)

    def weigh(self, x: Tensor) -> Tensor:
        """Normalise ``x`` by its groups' own moments with weight α, by the running ones with weight 1 − α."""
        mean, var = self._over_groups(*self.running_moments(x))
        if not self._is_plain():
            own_mean, own_var = self._over_groups(*instance_moments(x))
            offset, var = blend(var, own_mean - mean, own_var, self.alpha.to(x.dtype))
            mean = mean + offset
        return normalize(x, mean, var, *self.affine_parameters(x), self.eps)

    def extra_repr(self) -> str:
        """BatchNorm's, with the groups and α."""
        groups = f"num_groups={self.num_groups}, examples_per_group={self.examples_per_group}"
        return f"{super().extra_repr()}, {groups}, {self._alpha_repr()}"

    def _over_groups(self, mean: Tensor, var: Tensor) -> ChannelMoments:
        """The moments of each channel's group of channels. Shapes: (C,) or (N, C), in and out."""
        channels = self.num_features // self.num_groups
        mean, var = pool(mean.unflatten(-1, (-1, channels)), var.unflatten(-1, (-1, channels)), -1)
        return mean.repeat_interleave(channels, -1), var.repeat_interleave(channels, -1)
