"""The search for α without labels: the α at which a criterion is lowest."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from calibrate.metrics import interval, mean_samples
from calibrate.search.curve import RESAMPLES
from calibrate.search.gain import RESOLUTION
from calibrate.search.halving import TRIED, even_in_root, lowest, next_alpha
from calibrate.steps import LabelFreeAlpha, LabelFreePoint, LabelFreeSearch

#: ``terms_at(α)``: numbers (m,) in float64 whose mean is the criterion at α, one for each example, or part of them.
TermsAt = Callable[[float], Tensor]


def search_label_free(
    terms_at: TermsAt, step: LabelFreeAlpha, *, n: int, passes: float, seed: int, trained_alpha: float = 0.0
) -> LabelFreeSearch:
    """Choose the α within ``step.maximum`` of ``trained_alpha`` at which the mean of ``terms_at(α)`` is lowest.

    ``trained_alpha`` is how the network was trained: 0 for BatchNorm, 1 for GroupNorm. It stays unless it is beaten by
    more than ``step.margin`` standard errors of the paired difference. On a grid even in the root of the departure from
    it, then where the parabola through the best and its neighbours has its minimum.

    Cost: 10 evaluations of ``terms_at`` at most, each of them ``passes`` over the calibration half, on ``n`` examples.
    """
    grid = even_in_root(step.maximum, TRIED)
    terms = {departure: terms_at(abs(trained_alpha - departure)) for departure in grid}
    between = next_alpha(_means(terms), grid)
    if between is not None:
        terms[between] = terms_at(abs(trained_alpha - between))
    best = lowest(_means(terms))
    gain, standard_error = _gain(terms, best)
    convincing = gain > max(step.margin * standard_error, RESOLUTION)
    return LabelFreeSearch(
        criterion=step.criterion,
        points=_points(terms, trained_alpha, seed),
        chosen=abs(trained_alpha - best) if convincing else trained_alpha,
        best=abs(trained_alpha - best),
        gain=gain,
        standard_error=standard_error,
        reason=_reason(terms, best, trained_alpha, step.margin, convincing),
        n=n,
        passes=passes * len(terms),
    )


def _means(terms: dict[float, Tensor]) -> dict[float, float]:
    return {departure: float(column.mean()) for departure, column in terms.items()}


def _points(terms: dict[float, Tensor], trained_alpha: float, seed: int) -> tuple[LabelFreePoint, ...]:
    """The points by their departure, with their bands (percentile bootstrap, the same resamples at every α)."""
    departures = sorted(terms)
    columns = torch.stack([terms[departure] for departure in departures], 1).numpy()
    samples = mean_samples(columns, resamples=RESAMPLES, seed=seed)
    values = np.mean(columns, 0).tolist()
    bands = [interval(values[0] + samples[:, place] - samples[:, 0]) for place in range(len(departures))]
    return tuple(
        LabelFreePoint(alpha=abs(trained_alpha - departure), value=value, low=low, high=high)
        for departure, value, (low, high) in zip(departures, values, bands, strict=True)
    )


def _gain(terms: dict[float, Tensor], departure: float) -> tuple[float, float]:
    """By how much the criterion is lower at ``departure`` than at 0, and the standard error of that."""
    gains = terms[0.0] - terms[departure]
    return float(gains.mean()), float(gains.std() / len(gains) ** 0.5) if len(gains) > 1 else 0.0


def _reason(terms: dict[float, Tensor], best: float, trained_alpha: float, margin: float, convincing: bool) -> str:
    means = _means(terms)
    rival = best or lowest({departure: mean for departure, mean in means.items() if departure})
    gain, standard_error = _gain(terms, rival)
    alpha, by = abs(trained_alpha - rival), f"by {abs(gain):.4f}, with a standard error of {standard_error:.4f}"
    if not best:
        return f"no α lowered the criterion; the next best, {alpha:.4g}, raised it {by}"
    if convincing:
        return f"α = {alpha:.4g} lowered the criterion {by} (more than {margin:g} of them required)"
    stays = f"so α = {trained_alpha:g} stays"
    return f"α = {alpha:.4g} lowered the criterion only {by} (more than {margin:g} of them required), {stays}"
