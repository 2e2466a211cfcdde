"""The curve over α: accuracy and cross-entropy with their bands, dense by interpolating each example's logits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from calibrate.metrics import mean_samples
from calibrate.search.landscape import Landscape
from calibrate.search.temperature import FittedTemperature, cross_entropy, fit_temperature
from calibrate.steps import CurvePoint

#: True evaluations that carry the interpolation (α = 0 is one of them), and the points read off it.
NODES = 9
POINTS = 41

#: The largest difference in cross-entropy, in nats, between interpolated and true logits that a curve may show.
TOLERANCE = 0.003

RESAMPLES = 1000

#: The range ends where the cross-entropy lies above its lowest by more than FAR times the gain, and by FAR_NATS.
FAR = 4.0
FAR_NATS = 0.02


@dataclass(frozen=True, slots=True)
class Scored:
    """All examples at one α, truly evaluated or interpolated: the temperature's fit, mean NLL before it, who is right.

    ``correct`` is (n,) in float64, in the landscape's order, as is ``temperature.nll``.
    """

    alpha: float
    temperature: FittedTemperature
    nll: float
    correct: Tensor


@dataclass(frozen=True, slots=True)
class Dense:
    """The interpolated curve, and how far its cross-entropy was from true ones."""

    scored: tuple[Scored, ...]
    error: float


def score(alpha: float, logits: Tensor, labels: Tensor) -> Scored:
    """The examples scored at one α."""
    return Scored(
        alpha=alpha,
        temperature=fit_temperature(logits, labels),
        nll=float(cross_entropy(logits, labels, 1.0).mean()),
        correct=(logits.argmax(1) == labels).double(),
    )


def dense_curve_(landscape: Landscape, best: float) -> Dense:
    """``POINTS`` α's, even in √α, from 0 to beyond ``best``, by interpolation over ``NODES`` true evaluations.

    Every logit of every example is the polynomial in α through its values at the Chebyshev points of the range. What
    was truly evaluated in the range besides, on however many examples, checks it: ``error`` is the largest difference
    in cross-entropy, at T = 1 and at the fitted T.

    Cost: at most ``NODES`` - 1 passes, as α = 0 is there already.
    Limits: over a wide range of a deep network logits are no polynomials of α; then ``error`` says so.
    Reference: Berrut & Trefethen, Barycentric Lagrange Interpolation, 2004, equation 5.4.
    """
    end = _range_end(landscape, best)
    before = landscape.alphas
    nodes = chebyshev_points(end)
    logits = [landscape.evaluate_(node, -1) for node in nodes]
    checks = [alpha for alpha in before if alpha <= end and alpha not in nodes]
    error = max(_error(landscape, nodes, logits, alpha) for alpha in checks)
    alphas = [end * (number / (POINTS - 1)) ** 2 for number in range(POINTS)]
    return Dense(tuple(score(alpha, interpolate(nodes, logits, alpha), landscape.labels) for alpha in alphas), error)


def chebyshev_points(end: float) -> list[float]:
    """``NODES`` points in [0, ``end``], both ends among them, denser toward the ends: end · (1 - cos(πj/m)) / 2."""
    return [end * (1 - math.cos(math.pi * number / (NODES - 1))) / 2 for number in range(NODES)]


def interpolate(nodes: Sequence[float], logits: Sequence[Tensor], alpha: float) -> Tensor:
    """The logits (n, K) in float64 at ``alpha``, from those at the Chebyshev points ``nodes``, (n, K) each."""
    if alpha in nodes:
        return logits[nodes.index(alpha)].double()
    weights = [(-1) ** number / (alpha - node) for number, node in enumerate(nodes)]
    weights[0] /= 2
    weights[-1] /= 2
    total = math.fsum(weights)
    mixed = torch.zeros_like(logits[0], dtype=torch.float64)
    for weight, node_logits in zip(weights, logits, strict=True):
        mixed.add_(node_logits.double(), alpha=weight / total)
    return mixed


def curve_points(scored: Sequence[Scored], alpha_at: Callable[[float], float], seed: int) -> tuple[CurvePoint, ...]:
    """The points with their bands; the first must be the network as trained, which all are compared with.

    ``alpha_at`` gives a point's α for its departure from the first one's. A band is the 95 % interval of the difference
    from the first (percentile bootstrap, the same resamples at every α, each α at its own fitted T), added to its
    value: where the band leaves that value out, α made a difference.
    """
    columns = torch.stack([*(item.temperature.nll for item in scored), *(item.correct for item in scored)], 1).numpy()
    samples = mean_samples(columns, resamples=RESAMPLES, seed=seed)
    points = []
    for number, item in enumerate(scored):
        value, band = [], []
        for origin in (0, len(scored)):
            level = float(columns[:, origin].mean())
            low, high = np.percentile(samples[:, origin + number] - samples[:, origin], (2.5, 97.5))
            value.append(float(columns[:, origin + number].mean()))
            band.append((level + float(low), level + float(high)))
        points.append(
            CurvePoint(
                alpha=alpha_at(item.alpha),
                temperature=item.temperature.value,
                nll=item.nll,
                nll_after_temperature=value[0],
                top1=value[1],
                nll_band=band[0],
                top1_band=band[1],
            )
        )
    return tuple(points)


def _range_end(landscape: Landscape, best: float) -> float:
    """The first α beyond ``best`` that is far worse on the first level's examples, or the largest one tried.

    At least one α above 0 lies before it, so that there is something to check the interpolation with.
    """
    nll = {alpha: float(landscape.fit_(alpha, 0).nll.mean()) for alpha in landscape.alphas}
    lowest = min(nll.values())
    far = lowest + max(FAR * (nll[0.0] - lowest), FAR_NATS)
    return next((alpha for alpha in list(nll)[2:] if alpha > best and nll[alpha] > far), max(nll))


def _error(landscape: Landscape, nodes: Sequence[float], logits: Sequence[Tensor], alpha: float) -> float:
    """The largest difference in mean cross-entropy from the true logits at ``alpha``, on the examples it has."""
    true = landscape.seen(alpha)
    labels = landscape.labels[: len(true)]
    mixed = interpolate(nodes, logits, alpha)
    temperatures = (1.0, fit_temperature(mixed, landscape.labels).value)
    return max(
        abs(float((cross_entropy(mixed[: len(true)], labels, t) - cross_entropy(true, labels, t)).mean()))
        for t in temperatures
    )
