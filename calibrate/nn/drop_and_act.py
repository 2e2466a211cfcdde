"""Layers that normalise, drop and activate in one, as timm's do."""

from typing import Any, Self

from torch import Tensor, nn


class DropAndAct(nn.Module):
    """Mixed in before a normalisation layer: that layer, then ``drop``, then ``act``: y = act(drop(norm(x))).

    >>> import torch
    >>> class BatchNormAct(DropAndAct, nn.BatchNorm1d):
    ...     pass
    >>> layer = BatchNormAct(2, act=nn.ReLU()).eval()
    >>> bool((layer(torch.randn(4, 2)) >= 0).all())
    True
    """

    def __init__(self, *args: Any, drop: nn.Module | None = None, act: nn.Module | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.drop = nn.Identity() if drop is None else drop
        self.act = nn.Identity() if act is None else act

    def taking_from(self, layer: Any) -> Self:
        """This layer, with the ``drop`` and ``act`` of ``layer``, shared."""
        self.drop, self.act = layer.drop, layer.act
        return self

    def following(self) -> tuple[nn.Module, ...]:
        """``drop`` and ``act``."""
        return self.drop, self.act

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, drop, activate; see the class."""
        y: Tensor = self.act(self.drop(super().forward(x)))
        return y
