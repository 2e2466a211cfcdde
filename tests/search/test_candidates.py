"""The choice: the simplest within noise of the best, by the examples that both sides did not learn from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.search import Candidacy, choose_simplest, paired_gap


def noisy(name: str, mean: float, spread: float = 0.0, n: int = 100, seed: int = 0) -> Candidacy:
    noise = np.random.default_rng(seed).normal(0, 1, n)
    return Candidacy(name, np.arange(n), mean + spread * (noise - noise.mean()) / noise.std(ddof=1))


def test_the_gap_is_paired() -> None:
    shared = np.random.default_rng(1).normal(0, 10, 100)
    one = Candidacy("one", np.arange(100), shared + np.tile([0.1, 0.3], 50))
    other = Candidacy("other", np.arange(100), shared)
    gap, error, n = paired_gap(one, other)
    assert (gap, n) == (pytest.approx(0.2), 100)
    assert error == pytest.approx(np.std([0.1, 0.3] * 50, ddof=1) / 10)


def test_only_examples_that_neither_learned_from_count() -> None:
    one = Candidacy("one", np.array([1, 4, 6]), np.array([1.0, 2.0, 3.0]))
    other = Candidacy("other", np.array([4, 5, 6]), np.array([0.5, 9.0, 1.0]))
    gap, _, n = paired_gap(one, other)
    assert (gap, n) == (pytest.approx((1.5 + 2.0) / 2), 2)


@pytest.mark.parametrize(("margin", "chosen"), [(0.0, "best"), (1.9, "better"), (3.1, "original")])
def test_margins_buy_simplicity(margin: float, chosen: str) -> None:
    """The standard error of each gap is .01: plain is 3 of them behind the best, better 1.8."""
    plain, better, best = noisy("original", 1.03, 0.1), noisy("better", 1.018, 0.1, seed=0), noisy("best", 1.0)
    assert choose_simplest([plain, better, best], margin).name == chosen


@given(st.lists(st.floats(0, 5), min_size=1, max_size=6), st.floats(0, 5))
def test_what_is_chosen_is_within_noise_of_the_best_and_nothing_before_it_is(means: list[float], margin: float) -> None:
    items = [noisy(str(place), mean, 0.3, seed=place) for place, mean in enumerate(means)]
    best = min(items, key=lambda item: item.nll.mean())
    chosen = choose_simplest(items, margin)

    def within(item: Candidacy) -> bool:
        gap, error, _ = paired_gap(item, best)
        return gap <= margin * error

    assert within(chosen)
    assert not any(within(item) for item in items[: items.index(chosen)])


def test_candidates_of_few_examples_do_not_blur_the_choice_among_those_of_all() -> None:
    """On all, the second is far better than the first; on the ten that the third kept back this drowns in noise."""
    noise = np.random.default_rng(0).normal(0, 1, 1000)
    all_rows, few = np.arange(1000), np.arange(10)
    first, second = (
        Candidacy("first", all_rows, 1.2 + 0 * noise),
        Candidacy("second", all_rows, 1.0 + noise - noise.mean()),
    )
    third = Candidacy("third", few, second.nll[:10] - 0.01)
    assert paired_gap(first, second)[0] > paired_gap(first, second)[1]
    assert paired_gap(first, third)[0] <= paired_gap(first, third)[1]
    assert choose_simplest([first, second, third], 1.0).name == "third"
    kept_by_noise = Candidacy("third", few, second.nll[:10] + np.tile([-0.3, 0.28], 5))
    assert choose_simplest([first, second, kept_by_noise], 1.0).name == "second"


@given(st.permutations([0, 1, 2]), st.floats(0, 3))
def test_whoever_is_chosen_of_other_examples_beats_by_more_than_noise_what_came_before(
    order: list[int], margin: float
) -> None:
    rows = [np.arange(60), np.arange(0, 60, 2), np.arange(0, 60, 3)]
    items = [Candidacy(str(k), rows[k], np.random.default_rng(k).normal(1, 0.3, len(rows[k]))) for k in order]
    chosen = items[0]
    for item in items[1:]:
        gap, error, _ = paired_gap(chosen, item)
        chosen = chosen if gap <= margin * error else item
    assert choose_simplest(items, margin) is chosen
