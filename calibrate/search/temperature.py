"""Temperature scaling: the one number that makes a network's confidence match its accuracy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from calibrate.errors import require_kind

#: T is sought in [1/LIMIT, LIMIT]; beyond, the data do not determine it.
LIMIT = 100.0
_ROWS = 4096


@dataclass(frozen=True, slots=True)
class FittedTemperature:
    """A fitted temperature, and each example's cross-entropy (n,) in nats after it, in float64."""

    value: float
    nll: Tensor

    @property
    def at_limit(self) -> bool:
        """Whether the fit ran into the end of its range: the data were (nearly) all right, or all wrong."""
        return not LIMIT**-0.999 < self.value < LIMIT**0.999


def fit_temperature(logits: Tensor, labels: Tensor) -> FittedTemperature:
    """The T > 0 that minimises the mean cross-entropy of ``logits / T`` (n, K) against ``labels`` (n,).

    With u = 1/T the objective mean(logsumexp(u·z) − u·z_y) is convex, so its derivative E_p[z] − z_y, increasing in u,
    has one root; Newton's step is taken wherever it stays within the bracket, else the bracket is halved. Float64.
    Without a root in the range T is the end of it that is better, and 1 where the data say nothing at all.

    Cost: about ten passes over the logits. Reference: Guo et al., On Calibration of Modern Neural Networks, §4.2.

    >>> round(fit_temperature(torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1, 1])).value, 3)
    2.885
    """
    require_kind(logits, Tensor, "logits", "a tensor (n, K)")
    require_kind(labels, Tensor, "labels", "a tensor (n,) of class numbers")
    temperature = 1 / _root(logits, labels)
    return FittedTemperature(temperature, cross_entropy(logits, labels, temperature))


def cross_entropy(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Each example's cross-entropy (n,) of ``logits / temperature``, in nats and float64."""
    return torch.cat(
        [
            torch.nn.functional.cross_entropy(z.double() / temperature, y, reduction="none")
            for z, y in zip(logits.split(_ROWS), labels.split(_ROWS), strict=True)
        ]
    )


def _root(logits: Tensor, labels: Tensor) -> float:
    """The u = 1/T in [1/LIMIT, LIMIT] at which the cross-entropy stops falling."""
    low, high, inverse = 1 / LIMIT, LIMIT, 1.0
    slope, curvature = _derivatives(logits, labels, inverse)
    if slope == 0:
        return inverse
    for end, sign in ((low, 1), (high, -1)):
        if sign * _derivatives(logits, labels, end)[0] >= 0:
            return end
    for _ in range(60):
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        newton = inverse - slope / curvature if curvature > 0 else low
        previous, inverse = inverse, newton if low < newton < high else (low * high) ** 0.5
        if abs(inverse - previous) <= 1e-12 * previous:
            break
        slope, curvature = _derivatives(logits, labels, inverse)
    return inverse


def _derivatives(logits: Tensor, labels: Tensor, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean cross-entropy with respect to u = 1/T."""
    slope = curvature = 0.0
    for z, y in zip(logits.split(_ROWS), labels.split(_ROWS), strict=True):
        z = z.double()
        p = torch.softmax(inverse * z, 1)
        mean = (p * z).sum(1, keepdim=True)
        slope += float((mean - z.gather(1, y[:, None])).sum())
        curvature += float((p * (z - mean).square()).sum())
    return slope / len(labels), curvature / len(labels)
