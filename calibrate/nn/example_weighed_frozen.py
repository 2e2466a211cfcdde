"""Inference example weighing of batch normalisation that was frozen for good; loads torchvision."""

from typing import Any, Self

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from calibrate.nn.drop_and_act import DropAndAct
from calibrate.nn.example_weight import ExampleWeighed


class ExampleWeighedFrozenBatchNorm(ExampleWeighed, FrozenBatchNorm2d):  # type: ignore[misc]
    """torchvision's ``FrozenBatchNorm2d``, with the weight α of each example in its own statistics.

    The formula is :class:`~calibrate.nn.ExampleWeighedBatchNorm`'s. Affine parameters and statistics are buffers: none
    can be trained, and the mode changes nothing. A BatchNorm state dict loads; its ``num_batches_tracked`` is dropped.

    Shape: ``x`` and y (N, C, H, W).

    *Equals FrozenBatchNorm2d when* α = 0 (bit for bit: its own forward runs).

    >>> sorted(ExampleWeighedFrozenBatchNorm(3, alpha=0.1).state_dict())
    ['alpha', 'bias', 'running_mean', 'running_var', 'weight']
    """

    def __init__(self, num_features: int, alpha: float | Tensor = 0.0, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps)
        self.num_features = num_features
        self.register_buffer("alpha", None)
        self.alpha = alpha  # type: ignore[assignment]

    @classmethod
    def from_batch_norm(cls, frozen: Any, alpha: float | Tensor = 0.0) -> Self:
        """A layer that shares the buffers of ``frozen``, a FrozenBatchNorm2d, and its mode."""
        layer = cls(frozen.running_mean.numel(), eps=frozen.eps)
        layer.weight, layer.bias = frozen.weight, frozen.bias
        layer.running_mean, layer.running_var = frozen.running_mean, frozen.running_var
        layer.alpha = alpha  # type: ignore[assignment]
        layer.train(frozen.training)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        if x.dim() != 4:
            raise ValueError(f"the input has {x.dim()} dimension(s); give (N, C, H, W)")
        y: Tensor = super().forward(x) if self._is_plain() else self.weigh(x)
        return y

    def extra_repr(self) -> str:
        """The layer's size, eps and α."""
        return f"{self.num_features}, eps={self.eps}, {self._alpha_repr()}"

    __repr__ = nn.Module.__repr__  # torchvision's knows of no α


class ExampleWeighedFrozenBatchNormAct(DropAndAct, ExampleWeighedFrozenBatchNorm):
    """:class:`~calibrate.nn.ExampleWeighedFrozenBatchNorm`, then ``drop``, then ``act``: y = act(drop(norm(x))).

    Takes the place of timm's ``FrozenBatchNormAct2d``. *Equals it when* α = 0, bit for bit.
    """

    @classmethod
    def from_batch_norm(cls, frozen: Any, alpha: float | Tensor = 0.0) -> Self:
        """A layer that shares the buffers, ``drop`` and ``act`` of ``frozen``, and their modes."""
        return super().from_batch_norm(frozen, alpha).taking_from(frozen)
