"""What a mix of statistics is judged by: labels, or the mutual information of image and prediction."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.generators import numpy_generator
from calibrate.metrics import interval, mean_samples, require_finite
from calibrate.search.gain import Gain, paired_gain
from calibrate.search.prediction_criteria import information, probabilities, spread
from calibrate.search.temperature import cross_entropy, fit_temperature

RESAMPLES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMix:
    """The criterion's ``value``, lower is better; ``column`` has it of each example, or each resample, for its noise.

    ``nll``, ``temperature`` and ``top1`` are by labels only: the cross-entropy at T = 1, the fitted T, the accuracy.
    """

    value: float
    column: NDArray[np.float64]
    nll: float | None = None
    temperature: float | None = None
    top1: float | None = None


class MixCriterion(ABC):
    """Scores logits of the examples to choose on."""

    #: What is lowered, in a sentence.
    words: str

    @abstractmethod
    def score(self, logits: Tensor) -> ScoredMix:
        """The score of the logits (n, K). Raises NonFiniteError for logits that are not finite."""

    @abstractmethod
    def gain(self, before: ScoredMix, after: ScoredMix) -> Gain:
        """How much lower the criterion is ``after``, and its standard error over the examples."""

    @abstractmethod
    def bands(self, scored: Sequence[ScoredMix]) -> list[tuple[float, float]]:
        """95 % intervals of the differences from the first, added to the value there."""


class LabelledCriterion(MixCriterion):
    """The cross-entropy after its own best temperature."""

    words = "the cross-entropy after T"

    def __init__(self, labels: Tensor, seed: int) -> None:
        self._labels, self._seed = labels, seed

    def score(self, logits: Tensor) -> ScoredMix:
        """See :meth:`MixCriterion.score`."""
        require_finite(logits)
        fitted = fit_temperature(logits, self._labels)
        return ScoredMix(
            value=float(fitted.nll.mean()),
            column=fitted.nll.numpy(),
            nll=float(cross_entropy(logits, self._labels, 1.0).mean()),
            temperature=fitted.value,
            top1=float((logits.argmax(1) == self._labels).double().mean()),
        )

    def gain(self, before: ScoredMix, after: ScoredMix) -> Gain:
        """See :meth:`MixCriterion.gain`."""
        return paired_gain(torch.from_numpy(before.column), torch.from_numpy(after.column))

    def bands(self, scored: Sequence[ScoredMix]) -> list[tuple[float, float]]:
        """See :meth:`MixCriterion.bands`: percentile bootstrap, the same resamples for all."""
        samples = mean_samples(np.stack([item.column for item in scored], 1), resamples=RESAMPLES, seed=self._seed)
        first = scored[0].value
        return [interval(first + samples[:, place] - samples[:, 0]) for place in range(len(scored))]


class InformationCriterion(MixCriterion):
    """Minus the mutual information of image and prediction, mean H(p) − H(p̄), of predictions p (n, K).

    p = softmax(c·logits), with c such that the logits spread as the ``stored`` ones (n, K) of the network as it came:
    else it would reward a network that is merely surer. Its standard error is that of the difference over resamples of
    the images, the same for both (paired bootstrap).
    """

    words = "minus the mutual information of image and prediction"

    def __init__(self, stored: Tensor, seed: int) -> None:
        n = len(stored)
        self._spread = spread(stored)
        self._weights = numpy_generator(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n

    def score(self, logits: Tensor) -> ScoredMix:
        """See :meth:`MixCriterion.score`."""
        require_finite(logits)
        p = probabilities(logits, self._spread / (spread(logits) or 1.0))
        own = self._weights @ torch.special.entr(p).sum(1).numpy()
        common = torch.special.entr(torch.from_numpy(self._weights @ p.numpy())).sum(1).numpy()
        return ScoredMix(-float(information(p).mean()), own - common)

    def gain(self, before: ScoredMix, after: ScoredMix) -> Gain:
        """See :meth:`MixCriterion.gain`."""
        error = float((before.column - after.column).std(ddof=1))
        return Gain(before.value - after.value, error, single=self._weights.shape[1] == 1)

    def bands(self, scored: Sequence[ScoredMix]) -> list[tuple[float, float]]:
        """See :meth:`MixCriterion.bands`."""
        return [interval(scored[0].value + item.column - scored[0].column) for item in scored]
