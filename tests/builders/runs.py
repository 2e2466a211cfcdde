"""Runs: planned with plain settings, interrupted and resumed, with what they read counted and what they found named."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import Batch, Cached, Examples
from calibrate.engine import Plan, Trials, plan
from calibrate.recipe import Preprocessing, Recipe
from calibrate.result import Summary, silent


def planned(
    network: nn.Module,
    recipe: Recipe,
    data: Any,
    *,
    preprocessing: Preprocessing | None = None,
    batch_size: int | None = None,
    trials: Trials | None = None,
) -> Plan:
    return plan(
        network,
        recipe,
        data=data,
        preprocessing=preprocessing,
        classes=None,
        batch_size=batch_size,
        device="cpu",
        progress=silent,
        trials=trials,
    )


def codes(summary: Summary) -> list[str]:
    """The codes of a summary's findings."""
    return [finding.code for finding in summary.findings]


def messages(summary: Summary, code: str) -> list[str]:
    """What the findings of this code say."""
    return [finding.message for finding in summary.findings if finding.code == code]


class Memory:
    """Trials in a dictionary, of which the first ``finished`` are there."""

    def __init__(self, kept: dict[str, Tensor], finished: int) -> None:
        self.before = dict(list(kept.items())[:finished])
        self.after: dict[str, Tensor] = {}

    def recall(self, key: str) -> Tensor | None:
        return self.before.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        assert key not in self.before
        self.after[key] = logits.clone()


class Counted(Cached):
    """Examples that note which of them were handed out."""

    def __init__(self, data: list[tuple[Tensor, int]]) -> None:
        super().__init__(Examples(data, name="examples", preprocessing=None))
        self.streamed: list[int] = []

    def batches(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        for batch in super().batches(indices, batch_size):
            self.streamed += batch.indices.tolist()
            yield batch
