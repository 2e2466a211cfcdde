"""DELTA: feature maps are held near those of the source network, channel by channel."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.errors import UsageError
from calibrate.finetune.features import Features, gathering
from calibrate.finetune.penalty import Penalty, wide
from calibrate.surgery import watching


class Delta(Penalty):
    """Pulls the features that ``layers`` put out to those of ``source`` on the same inputs.

    With F, F₀ the features (N, C, *) of both networks, H·W positions, and a = ``attention`` (C,) of a layer, which sums
    to 1, over all ``layers``, examples b and channels c::

        strength/2 · Σ C·a_c/(H·W) · ‖F_bc − F₀_bc‖²
        strength/2 · Σ ‖F_bc − F₀_bc‖²                 without ``attention``

    The sum is over the batch, not its mean. Of ``source`` a copy is kept in evaluation mode, so it may be ``model`` as
    it starts. A module that is called more than once counts with each call.

    Cost: a forward pass of ``source`` for each batch, and the features kept until then.

    Reference: Li et al., DELTA: Deep Learning Transfer using Feature Map with Attention, 2019; the weights C·a_c/(H·W)
    are the authors' code's.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4))
    >>> penalty = Delta(model, model, ["1"], strength=1.0)
    >>> with penalty.watching():
    ...     before = model(torch.ones(5, 2))
    ...     penalty().item()
    0.0
    """

    def __init__(
        self,
        model: nn.Module,
        source: nn.Module,
        layers: Sequence[str],
        strength: float = 0.01,
        attention: Mapping[str, Tensor] | None = None,
    ) -> None:
        unweighed = [name for name in layers if attention is not None and name not in attention]
        if unweighed:
            raise UsageError(
                f"the attention says nothing of the layer {unweighed[0]!r}; measure it for all layers by "
                "`channel_attention`."
            )
        self.model, self.layers, self.strength, self.attention = model, layers, strength, attention
        self.source = copy.deepcopy(source).eval().requires_grad_(False)
        self.inputs: tuple[Any, ...] | None = None
        self.features: Features = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Gather the inputs of the network and the features of its layers."""
        try:
            with (
                watching([self.model], before=self._remember),
                gathering(self.model, self.layers) as self.features,
            ):
                yield
        finally:
            self.inputs, self.features = None, {}

    def __call__(self) -> Tensor:
        """The penalty of the features of the last batch."""
        if self.inputs is None:
            raise UsageError("no batch has gone through the network yet; call it first, while the penalty watches.")
        with torch.no_grad(), gathering(self.source, self.layers) as source:
            self.source(*self.inputs)
        return self.strength / 2 * torch.stack([self._distance(name, source[name]) for name in self.layers]).sum()

    def _distance(self, name: str, source: list[Tensor]) -> Tensor:
        distances = []
        for here, there in zip(self.features[name], source, strict=True):
            squares = (wide(here) - wide(there)).square().reshape(*here.shape[:2], -1)
            if self.attention is not None:
                share = self.attention[name].to(squares)
                squares = len(share) * share * squares.mean(2)
            distances.append(squares.sum())
        return torch.stack(distances).sum()

    def _remember(self, _model: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.inputs = inputs
