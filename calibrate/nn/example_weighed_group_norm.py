"""Inference example weighing of group normalisation: running moments have a say in each example's statistics."""

from typing import Self

import torch
from torch import Tensor, nn

from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.shared_affine import share_affine_
from calibrate.nn.weighing import ONE_PASS_ALPHA, weigh


class ExampleWeighedGroupNorm(ExampleWeighed, nn.GroupNorm):
    """Group normalisation whose inference statistics give each example the weight α, and running moments 1 − α.

    With m, v the mean and biased variance of the example's group over its channels and positions, and rm, rv the
    running mean and variance of each channel c of the group::

        M  = mean_c rm,  V = mean_c rv + var_c rm
        μ  = (1 − α)·M + α·m
        σ² = (1 − α)·V + α·v + α(1 − α)(m − M)²
        y  = γ(x − μ)/√(σ² + eps) + β

    GroupNorm keeps no running moments: they are buffers here, at 0 and 1 until they are estimated on data. Training is
    GroupNorm's, unchanged, and does not touch them.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. ``alpha`` is a buffer, (): one number. The
    state dict holds ``alpha``, ``running_mean`` and ``running_var`` (C,), these two float32 at least.

    *Equals GroupNorm when* α = 1 (bit for bit: the same kernel runs), or in training. With one channel a group it is
    :class:`~calibrate.nn.ExampleWeighedBatchNorm`. α = 0 normalises with the running moments alone.

    Cost: two reductions and three passes over ``x`` more than GroupNorm's one kernel. Statistics are float32 at least.

    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, §3.1 and Figure 2.

    >>> layer = ExampleWeighedGroupNorm(2, 4, alpha=0.5).eval()
    >>> layer(torch.zeros(2, 4, 3, 3)).shape
    torch.Size([2, 4, 3, 3])
    """

    trained_alpha = 1.0

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        alpha: float | Tensor = 1.0,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_groups, num_channels, eps, affine, device=device, dtype=dtype)
        self.num_features = num_channels
        wide = torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
        self.register_buffer("running_mean", torch.zeros(num_channels, device=device, dtype=wide))
        self.register_buffer("running_var", torch.ones(num_channels, device=device, dtype=wide))
        self.register_buffer("alpha", None)
        self.alpha = alpha  # type: ignore[assignment]

    @classmethod
    def from_group_norm(cls, group_norm: nn.GroupNorm, alpha: float | Tensor = 1.0) -> Self:
        """A layer that shares the parameters of ``group_norm``, and its mode; its moments wait to be estimated."""
        weight = group_norm.weight if group_norm.affine else None
        layer = cls(
            group_norm.num_groups,
            group_norm.num_channels,
            alpha,
            group_norm.eps,
            affine=False,
            device=None if weight is None else weight.device,
            dtype=None if weight is None else weight.dtype,
        )
        layer.affine = group_norm.affine
        share_affine_(layer, group_norm)
        return layer.train(group_norm.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name torch gave it)
        """Normalise ``input``; see the class."""
        return super().forward(input) if self.training or self._is_plain() else self.weigh(input)

    def weigh(self, x: Tensor) -> Tensor:
        """Normalise ``x`` by its groups' own moments with weight α, by the running ones with weight 1 − α.

        A group is one channel with more positions, so the formula is that of one channel.
        """
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        y = weigh(
            values.unflatten(1, (self.num_groups, -1)).flatten(2),
            self._group_moments(values.dtype),
            self.alpha,
            (None, None),
            self.eps,
            two_pass=self._largest_alpha > ONE_PASS_ALPHA,
        ).reshape(x.shape)
        per_channel = (-1, *(1,) * (x.dim() - 2))
        if self.weight is not None:
            y = y * self.weight.to(y.dtype).reshape(per_channel)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype).reshape(per_channel)
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """GroupNorm's, with α."""
        settings = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{settings}, {self._alpha_repr()}"

    def _group_moments(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """M and V, (G,) each: the moments of all channels of a group pooled."""
        assert isinstance(self.running_mean, Tensor)
        assert isinstance(self.running_var, Tensor)
        means, variances = (
            t.to(dtype).unflatten(0, (self.num_groups, -1)) for t in (self.running_mean, self.running_var)
        )
        between, mean = torch.var_mean(means, 1, correction=0)
        return mean, variances.mean(1) + between

    def _checked_alpha(self, value: float | Tensor) -> Tensor:
        if isinstance(value, Tensor) and value.dim():
            raise ValueError(
                f"alpha has shape {tuple(value.shape)}; give one number, as a group's statistics span its channels"
            )
        return super()._checked_alpha(value)
