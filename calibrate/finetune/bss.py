"""Batch spectral shrinkage (BSS): the weakest directions of a batch's features are suppressed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from calibrate.errors import UsageError
from calibrate.finetune.head import modules_of
from calibrate.finetune.penalty import Penalty, wide
from calibrate.surgery import watching


class BSS(Penalty):
    """Shrinks the smallest singular values of what the head is given, which transfer worst.

    With σ₁ ≤ σ₂ ≤ … the singular values of the batch's features (N, D), each example's flattened::

        strength · Σ_{i ≤ k} σᵢ²

    There are min(N, D) of them; where a batch has fewer than k, all are shrunk. The features are those given to the
    first module of ``head`` in its last call.

    Cost: a singular value decomposition of the features for each batch.

    Reference: Chen et al., Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe Transfer
    Learning, NeurIPS 2019.

    >>> model = nn.Sequential(nn.Identity(), nn.Linear(2, 3))
    >>> penalty = BSS(model, head=["1"], strength=1.0)
    >>> with penalty.watching():
    ...     logits = model(torch.tensor([[3.0, 0.0], [0.0, 0.5], [0.0, 0.0]]))
    ...     penalty()
    tensor(0.2500)
    """

    def __init__(self, model: nn.Module, head: Sequence[str], k: int = 1, strength: float = 1e-3) -> None:
        if k < 1:
            raise UsageError(f"k is {k}; it is how many singular values are shrunk, so give 1 or more.")
        if not head:
            raise UsageError(
                "no module is named as the head, whose features BSS shrinks; name it, as `find_head` does."
            )
        self.head, self.k, self.strength = modules_of(model, head)[0], k, strength
        self.features: Tensor | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Gather what the head is given."""
        try:
            with watching([self.head], before=self._remember):
                yield
        finally:
            self.features = None

    def __call__(self) -> Tensor:
        """The shrinkage of the last batch's features."""
        if self.features is None:
            raise UsageError(
                "no batch has gone through the head yet; call the network first, while the penalty watches."
            )
        values: Tensor = torch.linalg.svdvals(wide(self.features.flatten(1)))  # in descending order
        return values[-self.k :].square().sum() * self.strength

    def _remember(self, _head: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.features = inputs[0]
