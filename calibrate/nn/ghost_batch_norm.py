"""Ghost batch normalisation: statistics over blocks of the batch."""

from typing import Literal, Unpack, get_args

import torch
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments, pool, pool_blocks
from calibrate.nn.normalization import blend, normalize

Running = Literal["unbiased", "published"]


class GhostBatchNorm(BatchNormVariant):
    """Batch normalisation that trains with the statistics of blocks of ``ghost_size`` examples in a row.

    With m, v the mean and biased variance of the example's channel over the block of B′ examples that it is in::

        y = γ(x − m)/√(v + eps) + β

    Running statistics are the whole batch's, updated as BatchNorm does (``running="unbiased"``), or as moving averages
    of both moments, E[x] and E[x²] (``running="published"``: the authors' code, whose momentum is 0.01). Inference is
    BatchNorm's.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. Examples left over are a block of their
    own, or join the last where they would be fewer than 2 values.

    *Equals BatchNorm when* ``ghost_size`` ≥ N, or in inference (bit for bit).

    *Helps when* batches are medium to large and the network overfits: the noise of small blocks regularises. The
    smaller the blocks, the more weighing examples at inference adds.

    *Does not help when* the network does not overfit, or batches are so small already that statistics are too noisy.

    Cost: as BatchNorm's training in separate operations; nothing in inference.

    Limits: a block needs 2 values per channel. Blocks are each replica's own.

    Reference: Hoffer, Hubara & Soudry, Train Longer, Generalize Better; Summers & Dinneen, Four Things Everyone Should
    Know to Improve Batch Normalization, §3.2, Eq. 4.

    >>> layer = GhostBatchNorm(3, ghost_size=2)
    >>> layer(torch.randn(6, 3, 5, 5)).shape
    torch.Size([6, 3, 5, 5])
    """

    infers_as_batch_norm = True

    def __init__(
        self, num_features: int, ghost_size: int, running: Running = "unbiased", **options: Unpack[BatchNormOptions]
    ) -> None:
        if ghost_size < 1:
            raise ValueError(f"ghost_size is {ghost_size}; it is the number of examples in a block, so give 1 or more")
        if running not in get_args(Running):
            raise ValueError(f"running is {running!r}; choose one of {', '.join(map(repr, get_args(Running)))}")
        super().__init__(num_features, **options)
        self.ghost_size = ghost_size
        self.running = running

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x`` in training; see the class."""
        instances = instance_moments(x)
        mean, var = pool_blocks(*instances, self.ghost_size, x.shape[2:].numel())
        self.track_(*pool(*instances), x)
        return normalize(x, mean, var, *self.affine_parameters(x), self.eps)

    @torch.no_grad()
    def track_(self, mean: Tensor, var: Tensor, x: Tensor) -> None:
        """Move the running statistics towards the batch's; see the class."""
        if self.running == "unbiased":
            super().track_(mean, var, x)
            return
        running_mean, running_var = self.running_moments(x)
        rate = torch.as_tensor(self.next_rate_(x), dtype=x.dtype, device=x.device)
        offset, mixed = blend(running_var, mean - running_mean, var, rate)
        for running, value in zip(self.running_statistics, (running_mean + offset, mixed), strict=True):
            running.copy_(value)

    def extra_repr(self) -> str:
        """BatchNorm's, with the size of a block."""
        return f"{super().extra_repr()}, ghost_size={self.ghost_size}, running={self.running!r}"
