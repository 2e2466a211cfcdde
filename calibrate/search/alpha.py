"""The search for α: one weight for all sites, chosen jointly with the temperature."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from calibrate.recipe import SearchAlpha
from calibrate.result import AlphaSearch, CurvePoint
from calibrate.search.temperature import Temperature, cross_entropy, fit_temperature

#: Fractions of the largest α at which the curve is always measured: dense near 0, where optima lie.
GRID = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)

#: Gains in nats below this are rounding, not evidence.
RESOLUTION = 1e-5


@dataclass(frozen=True, slots=True)
class Trial:
    """The calibration half at one α."""

    alpha: float
    logits: Tensor
    temperature: Temperature
    point: CurvePoint


@dataclass(frozen=True, slots=True)
class Found:
    """The search as it goes into the summary, and the two trials that later steps need."""

    search: AlphaSearch
    plain: Trial
    chosen: Trial


def search_alpha(logits_at: Callable[[float], Tensor], labels: Tensor, step: SearchAlpha) -> Found:
    """Choose the α in [0, ``step.maximum``] with the lowest cross-entropy after its own best temperature.

    ``logits_at(α)`` evaluates the calibration half, one pass each: a fixed grid first, then ``step.refinements`` points
    that halve the wider gap beside the best. Every α on the curve, the chosen one included, was really evaluated. α = 0
    stays unless the chosen α beats it by more than ``step.margin`` standard errors of the paired difference.

    Reference: Four Things, §3.1 (α is a hyper-parameter to optimise on validation data, per metric).
    """
    plain = best = _try(logits_at, 0.0, labels)
    nll: dict[float, float] = {0.0: plain.point.nll_after_temperature}
    points = [plain.point]

    def visit(alpha: float) -> None:
        nonlocal best
        trial = _try(logits_at, alpha, labels)
        nll[alpha] = trial.point.nll_after_temperature
        points.append(trial.point)
        if nll[alpha] < nll[best.alpha]:
            best = trial

    for fraction in GRID[1:]:
        visit(fraction * step.maximum)
    for _ in range(step.refinements):
        visit(_beside(best.alpha, sorted(nll)))

    gain = plain.temperature.nll - best.temperature.nll
    standard_error = float(gain.std() / len(gain) ** 0.5) if len(gain) > 1 else 0.0
    convincing = float(gain.mean()) > max(step.margin * standard_error, RESOLUTION)
    chosen = best if convincing else plain
    points.sort(key=lambda point: point.alpha)
    search = AlphaSearch(
        points=tuple(points),
        chosen=chosen.alpha,
        best_by_nll=best.alpha,
        best_by_top1=max(points, key=lambda point: (point.top1, -point.alpha)).alpha,
        standard_error=standard_error,
        reason=_reason(best, float(gain.mean()), standard_error, step.margin, convincing),
        passes=len(points),
    )
    return Found(search, plain, chosen)


def _try(logits_at: Callable[[float], Tensor], alpha: float, labels: Tensor) -> Trial:
    logits = logits_at(alpha)
    temperature = fit_temperature(logits, labels)
    point = CurvePoint(
        alpha=alpha,
        temperature=temperature.value,
        nll=float(cross_entropy(logits, labels, 1.0).mean()),
        nll_after_temperature=float(temperature.nll.mean()),
        top1=float((logits.argmax(1) == labels).double().mean()),
    )
    return Trial(alpha, logits, temperature, point)


def _beside(best: float, visited: list[float]) -> float:
    """The middle of the wider of the two gaps beside ``best``."""
    at = visited.index(best)
    neighbours = [(abs(visited[i] - best), (visited[i] + best) / 2) for i in (at - 1, at + 1) if 0 <= i < len(visited)]
    return max(neighbours)[1]


def _reason(best: Trial, gain: float, standard_error: float, margin: float, convincing: bool) -> str:
    if best.alpha == 0:
        return "no α above 0 lowered the cross-entropy of the calibration half once the temperature was fitted"
    rule = f"by {gain:.4f} nats, against {margin:g} standard errors of {standard_error:.4f}"
    if convincing:
        return f"α = {best.alpha:.4g} beat α = 0 {rule}"
    return f"α = {best.alpha:.4g} beat α = 0 only {rule}, so α = 0 stays"
