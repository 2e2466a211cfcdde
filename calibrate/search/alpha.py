"""The search for α: one weight for all sites, chosen jointly with the temperature."""

from dataclasses import dataclass

from torch import Tensor

from calibrate.search.curve import TOLERANCE, curve_points, dense_curve_, score
from calibrate.search.gain import Gain, paired_gain
from calibrate.search.halving import close_in_
from calibrate.search.landscape import Landscape, LogitsAt
from calibrate.search.temperature import FittedTemperature, fit_temperature
from calibrate.steps import AlphaSearch, SearchAlpha


@dataclass(frozen=True, slots=True)
class AlphaPoint:
    """The calibration half at one α, truly evaluated, in the half's own order."""

    alpha: float
    logits: Tensor
    temperature: FittedTemperature


@dataclass(frozen=True, slots=True)
class Found:
    """The search as it goes into the summary, and the two trials that later steps need."""

    search: AlphaSearch
    trained: AlphaPoint
    chosen: AlphaPoint


def search_alpha(
    logits_at: LogitsAt, labels: Tensor, step: SearchAlpha, *, seed: int, trained_alpha: float = 0.0
) -> Found:
    """Choose the α within ``step.maximum`` of ``trained_alpha`` whose cross-entropy after its own best T is lowest.

    ``logits_at(α, rows)`` evaluates examples of the calibration half. ``trained_alpha`` is that of the training: 0 for
    BatchNorm, 1 for GroupNorm. The search is over the departure from it, |α − ``trained_alpha``|: that is the α of
    :class:`Landscape` and of what works on it. Successive halving closes in on the optimum; with ``step.curve`` the
    dense curve's true evaluations follow, and the best of all α's evaluated on all examples is compared with
    ``trained_alpha``, which stays unless it is beaten by more than ``step.margin`` standard errors of the paired
    difference. A curve whose interpolation is further off than ``TOLERANCE`` is not shown.

    Cost: 5 passes at most with 2 refinements, and 8 for the curve.
    Reference: Four Things, §3.1 (α is a hyper-parameter to optimise on validation data, per metric).
    """

    def alpha_at(departure: float) -> float:
        return abs(trained_alpha - departure)

    landscape = Landscape(lambda departure, rows: logits_at(alpha_at(departure), rows), labels, seed)
    closest = close_in_(landscape, step.maximum, step.refinements)
    passes = landscape.passes
    dense = dense_curve_(landscape, closest) if step.curve else None
    true = [score(alpha, landscape.evaluate_(alpha, -1), landscape.labels) for alpha in landscape.finished]
    shown = dense.scored if dense is not None and dense.error <= TOLERANCE else ()
    points = curve_points([*true, *shown], alpha_at, seed)
    points, curve = points[: len(true)], points[len(true) :]

    trained, best = true[0], min(true, key=lambda scored: (float(scored.temperature.nll.mean()), scored.alpha))
    gain = paired_gain(trained.temperature.nll, best.temperature.nll)
    chosen = best if gain.beats(step.margin) else trained
    search = AlphaSearch(
        points=points,
        chosen=alpha_at(chosen.alpha),
        best_by_nll=alpha_at(best.alpha),
        best_by_top1=max(points, key=lambda point: point.top1).alpha,
        standard_error=gain.standard_error,
        reason=_reason(alpha_at(best.alpha), trained_alpha, gain, step.margin),
        passes=passes,
        curve=curve,
        curve_passes=landscape.passes - passes,
        curve_error=None if dense is None else dense.error,
    )
    return Found(
        search, *(_trial(landscape.whole(one.alpha), labels, alpha_at(one.alpha)) for one in (trained, chosen))
    )


def _trial(logits: Tensor, labels: Tensor, alpha: float) -> AlphaPoint:
    return AlphaPoint(alpha, logits, fit_temperature(logits, labels))


def _reason(best: float, trained: float, gain: Gain, margin: float) -> str:
    if best == trained:
        side = "below" if trained else "above"
        return (
            f"no α {side} {trained:g} lowered the cross-entropy of the calibration half once the temperature was fitted"
        )
    if gain.beats(margin):
        return f"α = {best:.4g} beat α = {trained:g} {gain.words(margin)}"
    return f"α = {best:.4g} beat α = {trained:g} only {gain.words(margin)}, so α = {trained:g} stays"
