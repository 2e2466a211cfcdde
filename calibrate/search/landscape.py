"""The landscape over α: the calibration half at each α, on nested subsets of its examples."""

from collections.abc import Callable

import torch
from torch import Tensor

from calibrate.generators import torch_generator
from calibrate.search.temperature import FittedTemperature, fit_temperature

#: With fewer examples an eighth of them does not determine a temperature, so that every α sees all of them.
FEW = 128

#: ``logits_at(α, rows)``: the logits (len(rows), K) at α of the examples ``rows`` (ascending) of the calibration half.
LogitsAt = Callable[[float, Tensor], Tensor]


class Landscape:
    """Logits at every α that was looked at, on a growing share of the n examples.

    The examples are put into one order, drawn with ``seed``. At level l an α has seen the first ``ends[l]`` of them: an
    eighth, nine sixteenths, then all; with fewer than ``FEW`` examples the one level is all. Going up a level pays for
    the examples that are new to the α only. ``labels`` and all logits held here are in that order.

    Cost: memory for the logits of all that was evaluated.
    """

    def __init__(self, logits_at: LogitsAt, labels: Tensor, seed: int) -> None:
        n = len(labels)
        self._logits_at = logits_at
        self._order = torch.randperm(n, generator=torch_generator(seed))
        self._logits: dict[float, Tensor] = {}
        self._evaluated = 0
        self.labels = labels[self._order]
        self.ends = (n,) if n < FEW else (n // 8, 9 * n // 16, n)

    @property
    def passes(self) -> float:
        """Forward passes made so far, in units of one pass over all examples."""
        return self._evaluated / len(self.labels)

    @property
    def alphas(self) -> list[float]:
        """Every α looked at, ascending."""
        return sorted(self._logits)

    @property
    def finished(self) -> list[float]:
        """Every α evaluated on all examples, ascending."""
        return [alpha for alpha in self.alphas if len(self._logits[alpha]) == len(self.labels)]

    def evaluate_(self, alpha: float, level: int) -> Tensor:
        """The logits at ``alpha`` of all examples of ``level`` (-1 is the last, all); what is missing is evaluated."""
        end = self.ends[level]
        known = self._logits.get(alpha)
        have = 0 if known is None else len(known)
        if have < end:
            rows, back = self._order[have:end].sort()
            found = self._logits_at(alpha, rows)
            new = torch.empty_like(found)
            new[back] = found
            self._logits[alpha] = new if known is None else torch.cat((known, new))
            self._evaluated += end - have
        return self._logits[alpha][:end]

    def fit_(self, alpha: float, level: int) -> FittedTemperature:
        """The best temperature at ``alpha`` on the examples of ``level``."""
        end = self.ends[level]
        return fit_temperature(self.evaluate_(alpha, level), self.labels[:end])

    def seen(self, alpha: float) -> Tensor:
        """The logits at ``alpha`` of as many examples as it was evaluated on."""
        return self._logits[alpha]

    def whole(self, alpha: float) -> Tensor:
        """The logits of all examples at a finished ``alpha``, in the order of the calibration half."""
        logits = torch.empty_like(self._logits[alpha])
        logits[self._order] = self._logits[alpha]
        return logits
