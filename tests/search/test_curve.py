"""The dense curve over α: interpolated where that is right, refused where it is not, with honest bands."""

import numpy as np
import pytest
import torch

from calibrate.search import fit_temperature, search_alpha
from calibrate.search.curve import NODES, TOLERANCE, chebyshev_points, interpolate
from calibrate.steps import SearchAlpha
from tests.builders.landscapes import Valley


def test_polynomials_up_to_the_number_of_nodes_are_met_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(NODES, 5, 3, generator=generator, dtype=torch.float64)

    def truth(alpha: float) -> torch.Tensor:
        return sum(c * alpha**power for power, c in enumerate(coefficients))  # type: ignore[return-value]

    nodes = chebyshev_points(0.7)
    values = [truth(node) for node in nodes]
    for alpha in (*nodes, 0.001, 0.3, 0.69):
        torch.testing.assert_close(interpolate(nodes, values, alpha), truth(alpha), rtol=1e-11, atol=1e-11)


def test_the_curve_is_near_a_true_evaluation_at_every_point_and_says_how_near() -> None:
    valley = Valley(0.12, smooth=True)
    search = search_alpha(valley, valley.labels, SearchAlpha(), seed=0).search
    assert len(search.curve) == 41
    assert search.curve_error is not None
    assert search.curve_error < TOLERANCE
    assert search.curve[0].alpha == 0 < search.best_by_nll < search.curve[-1].alpha
    for point in search.curve:
        logits = valley.logits(point.alpha)
        true = float(fit_temperature(logits, valley.labels).nll.mean())
        assert point.nll_after_temperature == pytest.approx(true, abs=TOLERANCE)
        assert point.nll == pytest.approx(
            float(torch.nn.functional.cross_entropy(logits, valley.labels)), abs=TOLERANCE
        )


def test_the_curve_costs_at_most_eight_passes_counted_apart() -> None:
    with_curve, without = Valley(0.12, smooth=True), Valley(0.12, smooth=True)
    search = search_alpha(with_curve, with_curve.labels, SearchAlpha(), seed=0).search
    alone = search_alpha(without, without.labels, SearchAlpha(curve=False), seed=0).search
    assert search.passes == alone.passes == without.passes
    assert search.passes + search.curve_passes == with_curve.passes
    assert 0 < search.curve_passes <= 8
    assert (alone.curve, alone.curve_passes, alone.curve_error) == ((), 0, None)


def test_a_curve_that_is_no_polynomial_is_not_shown() -> None:
    """Logits that jump with α: the true evaluations stay, and the error is on record."""
    valley = Valley(0.1)

    def jumping(alpha: float, rows: torch.Tensor) -> torch.Tensor:
        return valley(alpha, rows) * (3.0 if int(alpha * 1000) % 2 else 0.3)

    search = search_alpha(jumping, valley.labels, SearchAlpha(), seed=0).search
    assert search.curve == ()
    assert search.curve_error is not None
    assert search.curve_error > TOLERANCE
    assert len(search.points) >= NODES


def test_the_range_ends_where_alpha_does_nothing_but_harm() -> None:
    valley = Valley(0.0)
    ends = []
    for optimum in (0.02, 0.3):

        def logits_at(alpha: float, rows: torch.Tensor, optimum: float = optimum) -> torch.Tensor:
            return (valley.truth + (1 + 2 * abs(alpha - optimum)) * valley.errors)[rows]

        search = search_alpha(logits_at, valley.labels, SearchAlpha(), seed=0).search
        ends.append(search.points[-1].alpha)
    assert 0.02 < ends[0] < 0.3 < ends[1]


def test_bands_are_those_of_the_paired_difference_from_alpha_0() -> None:
    """Against the normal approximation of the paired difference; at α = 0 there is nothing to differ."""
    valley = Valley(0.12, smooth=True)
    search = search_alpha(valley, valley.labels, SearchAlpha(), seed=0).search
    plain = search.curve[0]
    assert plain.nll_band == (plain.nll_after_temperature,) * 2
    assert plain.top1_band == (plain.top1,) * 2
    at_0 = fit_temperature(valley.logits(0.0), valley.labels).nll
    for point in (*search.points[1:], search.curve[-1]):
        difference = (fit_temperature(valley.logits(point.alpha), valley.labels).nll - at_0).numpy()
        middle, half = difference.mean() + float(at_0.mean()), 1.96 * difference.std() / np.sqrt(len(difference))
        assert point.nll_band is not None
        np.testing.assert_allclose(point.nll_band, (middle - half, middle + half), atol=0.2 * half + 1e-9)
        assert point.top1_band is not None
        assert point.top1_band[0] <= point.top1 <= point.top1_band[1]
