"""Labelled examples that prove a preparation to be better."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import cached
from calibrate.engine.inputs.stored_examples import Preparation, StoredExamples
from calibrate.engine.passes.batches import drawn
from calibrate.engine.passes.prediction import predict
from calibrate.errors import ModelError
from calibrate.preprocessing import InputMap
from calibrate.search import fit_temperature, paired_gain
from calibrate.steps import PreparationScores

#: So many labelled examples have to prove a preparation; fewer than the second prove nothing.
PROVING, LEAST_LABELLED = 1000, 20
#: They are held in so many bytes, or are fewer.
HELD = 256 << 20
#: Standard errors by which they must prefer another preparation.
MARGIN = 2.0


@dataclass(eq=False)
class Proof:
    """Labelled examples that score preparations, each with its own temperature."""

    model: nn.Module
    examples: StoredExamples
    rows: NDArray[np.int64]

    def __post_init__(self) -> None:
        source = self._source = cached(self.examples.source)
        assert source.labels is not None, "without labels nothing is proven"
        fitting = max(LEAST_LABELLED, HELD // max(1, self.examples.raw[0].nbytes))
        self._rows = drawn(self.rows, min(len(self.rows), PROVING, fitting), 0)
        self._labels = torch.from_numpy(source.labels[self._rows])
        self._given = source.preprocessing or source.input_map or InputMap()
        self._known: list[tuple[Preparation, tuple[float, Tensor] | None]] = []

    def can_prove(self, given: Preparation) -> bool:
        """Whether there are examples enough, and the network gives numbers for them."""
        return len(self._rows) >= LEAST_LABELLED and self._of(given) is not None

    def scores(self, preparation: Preparation) -> PreparationScores | None:
        """The scores in that preparation; None where the network does not take it, or the logits are not finite."""
        if (found := self._of(preparation)) is None:
            return None
        top1, nll = found
        return PreparationScores(n=len(self._rows), top1=top1, nll=float(nll.mean()))

    def nll(self, preparation: Preparation) -> float:
        """The mean cross-entropy after T."""
        found = self._of(preparation)
        return float("inf") if found is None else float(found[1].mean())

    def beats(self, preparation: Preparation, margin: float = MARGIN) -> bool:
        """Whether the examples prefer it to the given one by more than ``margin`` standard errors."""
        before, after = self._of(self._given), self._of(preparation)
        return before is not None and after is not None and paired_gain(before[1], after[1]).beats(margin)

    def as_good_as_any(self, proven: Mapping[str, Preparation]) -> list[str]:
        """Those of the ``proven`` preparations that no other beats by a standard error."""
        nll = {name: found[1] for name, item in proven.items() if (found := self._of(item)) is not None}
        best = min(nll, key=lambda name: float(nll[name].mean()))
        return [name for name in nll if name == best or not paired_gain(nll[name], nll[best]).beats(1.0)]

    def _of(self, preparation: Preparation) -> tuple[float, Tensor] | None:
        for item, found in self._known:
            if item == preparation:
                return found
        stage = f"input fit, {len(self._rows)} labelled examples, {len(self._known)}"
        found = None
        try:
            logits = predict(
                self.model, self._source.prepared_by(preparation), self._rows, self.examples.setting, stage
            )
        except ModelError:
            logits = torch.full((1, 1), torch.nan)
        if logits.isfinite().all() and logits.shape[1] > int(self._labels.max()):
            found = float((logits.argmax(1) == self._labels).double().mean()), fit_temperature(logits, self._labels).nll
        self._known.append((preparation, found))
        return found
