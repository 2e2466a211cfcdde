"""Batch renormalisation: the batch's statistics, corrected to what the running ones would have given."""

from typing import Unpack

import torch
from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import instance_moments, pool
from calibrate.nn.normalization import normalize


def batch_renorm_limits(step: int) -> tuple[float, float]:
    """The paper's (r_max, d_max) at a step of training: 1 to 3 over steps 5k–40k, 0 to 5 over steps 5k–25k.

    >>> [batch_renorm_limits(step) for step in (0, 15_000, 22_500, 50_000)]
    [(1.0, 0.0), (1.571..., 2.5), (2.0, 4.375), (3.0, 5.0)]
    """
    relaxed_r, relaxed_d = (min(max((step - 5_000) / steps, 0.0), 1.0) for steps in (35_000, 20_000))
    return 1 + 2 * relaxed_r, 5 * relaxed_d


class BatchRenorm(BatchNormVariant):
    """Batch normalisation whose training output is moved, within limits, to what inference would put out.

    With m, v the batch's mean and biased variance, σ_B = √(v + eps), and rm, σ = √(rv + eps) before this step::

        r = σ_B/σ within [1/r_max, r_max],  d = (m − rm)/σ within [−d_max, d_max], both constants
        y = γ((x − m)/σ_B · r + d) + β
        rm += a(m − rm),  σ += a(σ_B − σ)

    The moving average is of σ, and is kept as rv = σ² − eps. Inference is BatchNorm's.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. ``r_max`` and ``d_max`` are attributes to
    assign during training: :func:`batch_renorm_limits` is the paper's schedule.

    *Equals BatchNorm when* r_max = 1 and d_max = 0 (the output; rv is another average), or in inference (bit for bit).

    *Helps when* batches are small or their examples are not independent.

    *Does not help when* batches are large and independent, or there are too few steps for the running statistics to
    follow. Weighing examples at inference adds nothing to it.

    Cost: as BatchNorm's training in separate operations; nothing in inference.

    Limits: the paper's momentum is 0.01. A compiled network is compiled anew for each new limit, so change them rarely.

    Reference: Ioffe, Batch Renormalization, §3 and Algorithm 1.

    >>> layer = BatchRenorm(3, r_max=1.5, d_max=0.5, momentum=0.01)
    >>> layer(torch.randn(4, 3, 5, 5)).shape
    torch.Size([4, 3, 5, 5])
    """

    infers_as_batch_norm = True

    def __init__(
        self, num_features: int, r_max: float = 3.0, d_max: float = 5.0, **options: Unpack[BatchNormOptions]
    ) -> None:
        if not (r_max >= 1 and d_max >= 0):
            raise ValueError(f"r_max is {r_max} and d_max {d_max}; the limits are at least 1 and 0")
        super().__init__(num_features, **options)
        self.r_max = r_max
        self.d_max = d_max

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x`` in training; see the class."""
        mean, var = pool(*instance_moments(x))
        weight, bias = self.affine_parameters(x)
        with torch.no_grad():
            running_mean, running_var = self.running_moments(x)
            sigma = torch.sqrt(running_var + self.eps)
            r = (torch.sqrt(var + self.eps) / sigma).clamp(1 / self.r_max, self.r_max)
            d = ((mean - running_mean) / sigma).clamp(-self.d_max, self.d_max)
        self.track_(mean, var, x)
        return normalize(x, mean, var, weight * r, weight * d + bias, self.eps)

    @torch.no_grad()
    def track_(self, mean: Tensor, var: Tensor, x: Tensor) -> None:
        """Move the running statistics towards the batch's; see the class."""
        rate = self.next_rate_(x)
        running_mean, running_var = self.running_moments(x)
        sigma = torch.lerp(torch.sqrt(running_var + self.eps), torch.sqrt(var + self.eps), rate)
        updated = torch.lerp(running_mean, mean, rate), (sigma.square() - self.eps).clamp_min(0)
        for running, value in zip(self.running_statistics, updated, strict=True):
            running.copy_(value)

    def extra_repr(self) -> str:
        """BatchNorm's, with the limits."""
        return f"{super().extra_repr()}, r_max={self.r_max}, d_max={self.d_max}"
