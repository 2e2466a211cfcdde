"""What one network predicts for each example, scored: the columns every metric is a mean or a binned sum of."""

from dataclasses import dataclass
from math import inf, log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.errors import DataError, NonFiniteError, UsageError

Column = NDArray[np.float64]

#: Logits scored at once, which bounds the memory: 2²² float64 numbers are 32 MiB.
CHUNK = 2**22


@dataclass(frozen=True, slots=True)
class PerExample:
    """One column of n float64 numbers for each score.

    ``top1`` and ``top5`` are 0 or 1, ``nll`` is −log p(label) in nats, ``brier`` is Σ_k (p_k − [k = label])²,
    ``confidence`` is max_k p_k.
    """

    top1: Column
    top5: Column
    nll: Column
    brier: Column
    confidence: Column


def score(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> PerExample:
    """Score logits (n, K) of any floating point type against labels (n,), with p = softmax(logits / temperature).

    Computed in float64. A label is in the top k if fewer than k classes rank before it, by higher logit or by the
    same logit and lower index; so top-1 is what argmax gives, top-5 contains it, and neither depends on the
    temperature. With fewer than five classes every label is in the top five.

    >>> scores = score(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1]))
    >>> scores.top1.tolist(), scores.confidence.round(3).tolist()
    ([1.0, 0.0], [0.881, 0.5])
    """
    if not 0 < temperature < inf:
        raise UsageError(
            f"the temperature is {temperature}; logits are divided by it, so give a finite number above 0."
        )
    n, outputs = logits.shape
    labels = labels.detach().to("cpu", torch.int64)
    _require_known(labels, outputs)
    table = torch.empty((5, n), dtype=torch.float64)
    rows = max(1, CHUNK // outputs)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        table[:, part] = _score(logits[part].detach().to("cpu", torch.float64), labels[part], temperature)
    if broken := int((~table[2].isfinite()).sum()):
        raise NonFiniteError(broken, n)
    return PerExample(*table.numpy())


def require_finite(logits: Tensor) -> None:
    """Raise NonFiniteError where a row of ``logits`` (n, K) is not all finite."""
    if broken := int((~logits.isfinite().all(1)).sum()):
        raise NonFiniteError(broken, len(logits))


def score_or_guess(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> PerExample:
    """:func:`score`, with each of the K classes as likely where the logits (n, K) of an example are not all finite.

    >>> scores = score_or_guess(torch.tensor([[2.0, 0.0], [torch.nan, 1.0]]), torch.tensor([0, 1]))
    >>> scores.top1.tolist(), scores.nll.round(3).tolist()
    ([1.0, 0.5], [0.127, 0.693])
    """
    finite, outputs = logits.isfinite().all(1), logits.shape[1]
    scores = score(torch.where(finite[:, None], logits, 0.0), labels, temperature)
    guess = PerExample(*(np.full(len(logits), value) for value in _guess(outputs)))
    known = finite.numpy()
    return PerExample(*(np.where(known, *pair) for pair in zip(_columns(scores), _columns(guess), strict=True)))


def _guess(outputs: int) -> tuple[float, ...]:
    """The five scores of who takes each of so many classes for as likely, expected over the labels."""
    return 1 / outputs, min(5, outputs) / outputs, log(outputs), 1 - 1 / outputs, 1 / outputs


def _columns(scores: PerExample) -> tuple[Column, ...]:
    return scores.top1, scores.top5, scores.nll, scores.brier, scores.confidence


def _score(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The five columns of one chunk, (5, n); ``nll`` is NaN where a logit is not finite."""
    label = labels.unsqueeze(1)
    own = logits.gather(1, label)
    lower_index = torch.arange(logits.shape[1]) < label
    rank = ((logits > own) | ((logits == own) & lower_index)).sum(1)
    log_p = torch.log_softmax(logits / temperature, 1)
    nll = torch.where(logits.isfinite().all(1), -log_p.gather(1, label).squeeze(1), torch.nan)
    p = log_p.exp()
    brier = p.scatter_add(1, label, torch.full_like(own, -1)).square().sum(1)
    return torch.stack([(rank < 1).double(), (rank < 5).double(), nll, brier, p.amax(1)])


def _require_known(labels: Tensor, outputs: int) -> None:
    unknown = labels[(labels < 0) | (labels >= outputs)]
    if len(unknown):
        raise DataError(
            f"{len(unknown)} of {len(labels)} labels, such as {int(unknown[0])}, name no output of the network, whose "
            f"{outputs} outputs are numbered from 0 to {outputs - 1}; map the labels to the network's classes."
        )
