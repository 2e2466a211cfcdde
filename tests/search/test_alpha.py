"""The search for α, on landscapes whose optimum is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.search import fit_temperature, search_alpha
from calibrate.steps import SearchAlpha
from tests.builders.landscapes import LABELS, Valley

QUICK = SearchAlpha(curve=False)


@given(optimum=st.floats(0.005, 0.45), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_closes_in_on_the_optimum(optimum: float, seed: int) -> None:
    valley = Valley(optimum)
    search = search_alpha(valley, valley.labels, QUICK.model_copy(update={"refinements": 8}), seed=seed).search
    assert abs(search.chosen**0.5 - optimum**0.5) < 0.06
    assert search.passes == valley.passes


@given(
    n=st.sampled_from([1, 2, 5, 31, 127, 128, 129, 200]),
    seed=st.integers(0, 9),
    heights=st.lists(st.floats(0, 5), min_size=12, max_size=12),
    maximum=st.floats(0.01, 1),
)
@settings(max_examples=60, deadline=None)
def test_no_landscape_takes_more_than_five_passes_and_no_example_is_paid_for_twice(
    n: int, seed: int, heights: list[float], maximum: float
) -> None:
    """However rough: the noise at α is anything, taken from ``heights`` by α's place."""
    valley = Valley(0.1, n)

    def logits_at(alpha: float, rows: torch.Tensor) -> torch.Tensor:
        valley(alpha, rows)
        return (valley.truth + heights[int(1e6 * alpha) % 12] * valley.errors)[rows]

    step = SearchAlpha(curve=False, maximum=maximum)
    search = search_alpha(logits_at, valley.labels, step, seed=seed).search
    assert search.passes == pytest.approx(valley.passes)
    assert valley.passes <= 5
    for alpha in {alpha for alpha, _ in valley.asked}:
        assert len(valley.rows_at(alpha).unique()) == len(valley.rows_at(alpha))
    everyone = torch.arange(n)
    assert all(torch.equal(valley.rows_at(point.alpha), everyone) for point in search.points)
    assert {0.0, search.chosen, search.best_by_nll, search.best_by_top1} <= {point.alpha for point in search.points}
    assert search.best_by_nll == min(search.points, key=lambda point: point.nll_after_temperature).alpha


@pytest.mark.parametrize("curve", [False, True])
def test_the_chosen_alpha_was_really_evaluated_and_its_logits_are_returned_in_order(curve: bool) -> None:
    valley = Valley(0.08)
    found = search_alpha(valley, valley.labels, SearchAlpha(curve=curve), seed=0)
    assert torch.equal(valley.rows_at(found.chosen.alpha), torch.arange(len(valley.labels)))
    for trial in (found.chosen, found.trained):
        assert torch.equal(trial.logits, valley.logits(trial.alpha))
        assert trial.temperature.value == fit_temperature(trial.logits, valley.labels).value
    assert found.trained.alpha == 0 < found.chosen.alpha == found.search.chosen


def test_points_are_what_an_evaluation_of_all_examples_says() -> None:
    valley = Valley(0.08)
    for point in search_alpha(valley, valley.labels, SearchAlpha(), seed=0).search.points:
        logits = valley.logits(point.alpha)
        at_best = torch.nn.functional.cross_entropy(logits.double() / point.temperature, valley.labels)
        assert point.nll_after_temperature == pytest.approx(float(at_best), abs=1e-9)
        assert point.top1 == pytest.approx(float((logits.argmax(1) == valley.labels).double().mean()))


def test_the_same_seed_finds_the_same_and_another_looks_at_other_examples() -> None:
    one, two, other = Valley(0.1), Valley(0.1), Valley(0.1)
    found = [search_alpha(v, v.labels, SearchAlpha(), seed=s).search for v, s in ((one, 4), (two, 4), (other, 5))]
    assert found[0] == found[1]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(one.asked, two.asked, strict=True))
    assert not torch.equal(one.asked[1][1], other.asked[1][1])


def test_every_call_asks_for_ascending_rows() -> None:
    valley = Valley(0.2)
    search_alpha(valley, valley.labels, QUICK, seed=3)
    assert all((rows.diff() > 0).all() for _, rows in valley.asked)
    sizes = {len(rows) for _, rows in valley.asked}
    assert {50, 400, 225 - 50} <= sizes <= {50, 400, 225 - 50, 225}


def test_refinements_look_nearer_the_optimum() -> None:
    distances = []
    for refinements in (0, 1, 4):
        valley = Valley(0.1)
        found = search_alpha(valley, valley.labels, SearchAlpha(curve=False, refinements=refinements), seed=0)
        distances.append(abs(found.search.best_by_nll**0.5 - 0.1**0.5))
    assert distances[0] > distances[1] >= distances[2]


def test_zero_stays_when_nothing_helps() -> None:
    valley = Valley(0.0)
    search = search_alpha(valley, valley.labels, SearchAlpha(), seed=0).search
    assert search.chosen == 0
    assert "no α above 0" in search.reason


def test_mere_softening_is_not_mistaken_for_a_gain() -> None:
    """Raw cross-entropy falls with α here, only because the logits shrink; after T nothing is left of it."""
    generator = torch.Generator().manual_seed(0)
    logits = 20 * (torch.nn.functional.one_hot(LABELS, 4) + torch.randn(len(LABELS), 4, generator=generator))
    found = search_alpha(lambda alpha, rows: logits[rows] * (1 - 0.9 * alpha), LABELS, SearchAlpha(maximum=1), seed=0)
    first, last = found.search.points[0], found.search.points[-1]
    assert last.nll < first.nll
    assert found.search.chosen == 0


def test_margin_asks_for_more_than_noise() -> None:
    """With a gain of about one standard error, the margin decides."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.nn.functional.one_hot(LABELS, 4) + 2 * torch.randn(len(LABELS), 4, generator=generator)
    better = logits + 0.5 * torch.randn(logits.shape, generator=generator)
    better = better + 0.12 * torch.nn.functional.one_hot(LABELS, 4)
    gain = fit_temperature(logits, LABELS).nll - fit_temperature(better, LABELS).nll
    errors = float(gain.mean()) / float(gain.std() / len(gain) ** 0.5)
    assert errors > 0

    def logits_at(alpha: float, rows: torch.Tensor) -> torch.Tensor:
        return (logits if alpha == 0 else better)[rows]

    lenient, strict = (
        search_alpha(logits_at, LABELS, SearchAlpha(margin=share * errors), seed=0).search for share in (0.9, 1.1)
    )
    assert lenient.chosen > 0
    assert strict.chosen == 0
    assert strict.best_by_nll > 0


def test_from_the_other_end_the_search_is_the_same_mirrored() -> None:
    """GroupNorm was trained at α = 1: the same landscape over 1 − α gives the same search, with every α mirrored."""
    valley, mirrored = Valley(0.12, smooth=True), Valley(0.12, smooth=True)

    def from_1(alpha: float, rows: torch.Tensor) -> torch.Tensor:
        assert 0.5 <= alpha <= 1
        return mirrored(1 - alpha, rows)

    one = search_alpha(valley, valley.labels, SearchAlpha(), seed=0)
    other = search_alpha(from_1, mirrored.labels, SearchAlpha(), seed=0, trained_alpha=1.0)
    assert other.trained.alpha == other.search.points[0].alpha == other.search.curve[0].alpha == 1
    assert other.chosen.alpha == other.search.chosen == other.search.best_by_nll == 1 - one.search.chosen < 1
    for here, there in ((one.search.points, other.search.points), (one.search.curve, other.search.curve)):
        assert [point.alpha for point in there] == [1 - point.alpha for point in here]
        assert [point.top1 for point in there] == [point.top1 for point in here]
        assert [point.nll for point in there] == pytest.approx([point.nll for point in here], abs=1e-6)
    assert other.search.best_by_top1 == 1 - one.search.best_by_top1
    assert other.search.passes == one.search.passes
    assert f"α = {other.search.chosen:.4g} beat α = 1 by" in other.search.reason
    torch.testing.assert_close(other.chosen.logits, mirrored.logits(one.search.chosen), rtol=1e-6, atol=1e-6)


def test_where_leaving_alpha_1_does_not_help_it_stays() -> None:
    valley = Valley(0.0)
    search = search_alpha(
        lambda alpha, rows: valley(1 - alpha, rows), valley.labels, QUICK, seed=0, trained_alpha=1.0
    ).search
    assert search.chosen == 1
    assert "no α below 1 lowered" in search.reason


@pytest.mark.parametrize("maximum", [0.02, 1.0])
def test_stays_within_the_maximum(maximum: float) -> None:
    valley = Valley(0.3)
    search_alpha(valley, valley.labels, SearchAlpha(maximum=maximum), seed=0)
    assert max(alpha for alpha, _ in valley.asked) == maximum
    assert min(alpha for alpha, _ in valley.asked) == 0
