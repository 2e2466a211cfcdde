"""Inference example weighing of layers that normalise, drop and activate in one."""

from typing import Any, Self

from torch import Tensor

from calibrate.nn.drop_and_act import DropAndAct
from calibrate.nn.example_weighed import ExampleWeighedBatchNorm
from calibrate.nn.example_weighed_group_norm import ExampleWeighedGroupNorm


class ExampleWeighedBatchNormAct(DropAndAct, ExampleWeighedBatchNorm):
    """:class:`~calibrate.nn.ExampleWeighedBatchNorm`, then ``drop``, then ``act``: y = act(drop(norm(x))).

    Takes the place of timm's ``BatchNormAct2d`` and ``SyncBatchNormAct``, whose submodules ``drop`` and ``act`` it
    shares, and whose state-dict keys it keeps.

    *Equals BatchNormAct2d when* α = 0, bit for bit.
    """

    @classmethod
    def from_batch_norm(cls, batch_norm: Any, alpha: float | Tensor = 0.0) -> Self:
        """A layer that shares the parameters, statistics, ``drop`` and ``act`` of ``batch_norm``, and their modes."""
        return super().from_batch_norm(batch_norm, alpha).taking_from(batch_norm)


class ExampleWeighedGroupNormAct(DropAndAct, ExampleWeighedGroupNorm):
    """:class:`~calibrate.nn.ExampleWeighedGroupNorm`, then ``drop``, then ``act``: y = act(drop(norm(x))).

    Takes the place of timm's ``GroupNormAct``. *Equals it when* α = 1, bit for bit.
    """

    @classmethod
    def from_group_norm(cls, group_norm: Any, alpha: float | Tensor = 1.0) -> Self:
        """A layer that shares the parameters, ``drop`` and ``act`` of ``group_norm``, and their modes."""
        return super().from_group_norm(group_norm, alpha).taking_from(group_norm)
