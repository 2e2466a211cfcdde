"""Inference example weighing: each example has a say in its own statistics."""

from typing import Self

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.shared_affine import share_affine_


class ExampleWeighedBatchNorm(ExampleWeighed, _BatchNorm):
    """Batch normalisation whose inference statistics give each example the weight α.

    With rm, rv the running mean and variance and m, v the mean and biased variance of the example's channel over its
    positions::

        μ  = (1 − α)·rm + α·m
        σ² = (1 − α)·rv + α·v + α(1 − α)(m − rm)²
        y  = γ(x − μ)/√(σ² + eps) + β

    which pools the two populations (their first two moments are mixed). Training is BatchNorm's, unchanged.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. ``alpha`` is a buffer, () or (C,), stored
    in the state dict as ``alpha``; a BatchNorm state dict, which has none, loads and leaves α as it is. Assign a float
    or a (C,) tensor to change it.

    *Equals BatchNorm when* α = 0 (bit for bit: the same kernel runs), or in training. α = 1 is instance normalisation
    with BatchNorm's affine parameters.

    *Helps when* a trained network is uncertain, its test data have shifted, or it was trained with small batches: then
    α is chosen on held-out data.

    *Does not help when* the running statistics fit the data and the temperature was fitted already.

    Cost: BatchNorm, two reductions and a pass in place; ``surgery.for_inference`` folds BatchNorm's share into the
    convolution that feeds the layer. Statistics are float32 at least.

    Limits: the layer must keep running statistics. An input without positions, (N, C) or 1×1 maps, has v = 0, and at
    α = 1 puts out the constant β. Made from a SyncBatchNorm, it trains without synchronising.

    Reference: Summers & Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, §3.1, Eq. 3.

    >>> layer = ExampleWeighedBatchNorm(3, alpha=0.1).eval()
    >>> layer(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    def __init__(
        self,
        num_features: int,
        alpha: float | Tensor = 0.0,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, device=device, dtype=dtype)
        self.register_buffer("alpha", None)
        self.alpha = alpha  # type: ignore[assignment]

    @classmethod
    def from_batch_norm(cls, batch_norm: _BatchNorm, alpha: float | Tensor = 0.0) -> Self:
        """A layer that shares the parameters and running statistics of ``batch_norm``, and its mode.

        Raises ValueError for a layer without running statistics: it has nothing to weigh an example against.
        """
        if batch_norm.running_mean is None or batch_norm.running_var is None:
            raise ValueError("the layer keeps no running statistics, so an example cannot be weighed against them")
        layer = cls(
            batch_norm.num_features, eps=batch_norm.eps, momentum=batch_norm.momentum, affine=False, device="meta"
        )
        layer.affine = batch_norm.affine
        share_affine_(layer, batch_norm)
        layer.running_mean, layer.running_var = batch_norm.running_mean, batch_norm.running_var
        layer.num_batches_tracked = batch_norm.num_batches_tracked
        layer.alpha = alpha  # type: ignore[assignment]
        return layer.train(batch_norm.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name torch gave it)
        """Normalise ``input``; see the class."""
        if self.training or self._is_plain():
            return super().forward(input)
        self._check_input_dim(input)
        return self.weigh(input)

    def extra_repr(self) -> str:
        """BatchNorm's, with α."""
        settings = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{settings}, {self._alpha_repr()}"

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (the name torch gave it)
        if input.dim() < 2:
            raise ValueError(f"the input has {input.dim()} dimension(s); give (N, C) or (N, C, *)")
