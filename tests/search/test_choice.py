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


@pytest.mark.parametrize(("margin", "chosen"), [(0.0, "best"), (1.9, "better"), (3.1, "plain")])
def test_margins_buy_simplicity(margin: float, chosen: str) -> None:
    """The standard error of each gap is .01: plain is 3 of them behind the best, better 1.8."""
    plain, better, best = noisy("plain", 1.03, 0.1), noisy("better", 1.018, 0.1, seed=0), noisy("best", 1.0)
    assert choose_simplest([plain, better, best], plain, margin).name == chosen


@given(st.lists(st.floats(0, 5), min_size=1, max_size=6), st.floats(0, 5))
def test_what_is_chosen_is_within_noise_of_the_best_and_nothing_before_it_is(means: list[float], margin: float) -> None:
    items = [noisy(str(place), mean, 0.3, seed=place) for place, mean in enumerate(means)]
    best = min(items, key=lambda item: paired_gap(item, items[0])[0])
    chosen = choose_simplest(items, items[0], margin)

    def within(item: Candidacy) -> bool:
        gap, error, _ = paired_gap(item, best)
        return gap <= margin * error

    assert within(chosen)
    assert not any(within(item) for item in items[: items.index(chosen)])
