"""Inference example weighing of layers that normalise, drop and activate in one."""

from typing import Any, Self

from torch import Tensor, nn

from calibrate.nn.example_weighed import ExampleWeighedBatchNorm
from calibrate.nn.example_weighed_group_norm import ExampleWeighedGroupNorm


class ExampleWeighedBatchNormAct(ExampleWeighedBatchNorm):
    """:class:`~calibrate.nn.ExampleWeighedBatchNorm`, then ``drop``, then ``act``: y = act(drop(norm(x))).

    Takes the place of timm's ``BatchNormAct2d`` and ``SyncBatchNormAct``, whose submodules ``drop`` and ``act`` it
    shares, and whose state-dict keys it keeps.

    *Equals BatchNormAct2d when* α = 0, bit for bit.
    """

    def __init__(self, *args: Any, drop: nn.Module | None = None, act: nn.Module | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.drop = nn.Identity() if drop is None else drop
        self.act = nn.Identity() if act is None else act

    @classmethod
    def from_batch_norm(cls, batch_norm: Any, alpha: float | Tensor = 0.0) -> Self:
        """A layer that shares the parameters, statistics, ``drop`` and ``act`` of ``batch_norm``, and their modes."""
        layer = super().from_batch_norm(batch_norm, alpha)
        layer.drop, layer.act = batch_norm.drop, batch_norm.act
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, drop, activate; see the class."""
        y: Tensor = self.act(self.drop(super().forward(x)))
        return y


class ExampleWeighedGroupNormAct(ExampleWeighedGroupNorm):
    """:class:`~calibrate.nn.ExampleWeighedGroupNorm`, then ``drop``, then ``act``: y = act(drop(norm(x))).

    Takes the place of timm's ``GroupNormAct``. *Equals it when* α = 1, bit for bit.
    """

    def __init__(self, *args: Any, drop: nn.Module | None = None, act: nn.Module | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.drop = nn.Identity() if drop is None else drop
        self.act = nn.Identity() if act is None else act

    @classmethod
    def from_group_norm(cls, group_norm: Any, alpha: float | Tensor = 1.0) -> Self:
        """A layer that shares the parameters, ``drop`` and ``act`` of ``group_norm``, and their modes."""
        layer = super().from_group_norm(group_norm, alpha)
        layer.drop, layer.act = group_norm.drop, group_norm.act
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, drop, activate; see the class."""
        y: Tensor = self.act(self.drop(super().forward(x)))
        return y
