"""The search for α without labels: where it goes, when it stays, what it says."""

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrate.search import search_label_free
from calibrate.steps import LabelFreeAlpha, LabelFreeSearch


class Criterion:
    """A criterion whose mean is lowest at ``optimum``, of examples that differ by ``noise``; notes what was asked."""

    def __init__(self, optimum: float, noise: float = 0.05, n: int = 50) -> None:
        generator = torch.Generator().manual_seed(0)
        self.level, self.errors = (torch.randn(2, n, generator=generator, dtype=torch.float64)).unbind()
        self.optimum, self.noise = optimum, noise
        self.asked: list[float] = []

    def __call__(self, alpha: float) -> Tensor:
        self.asked.append(alpha)
        return self.level + (alpha**0.5 - self.optimum**0.5) ** 2 * (1 + self.noise * self.errors)


def search(valley: Criterion, trained_alpha: float = 0.0, **fields: object) -> LabelFreeSearch:
    step = LabelFreeAlpha(**fields)
    terms_at = (lambda alpha: valley(abs(trained_alpha - alpha))) if trained_alpha else valley
    return search_label_free(terms_at, step, n=50, passes=0.5, seed=0, trained_alpha=trained_alpha)


@pytest.mark.parametrize("optimum", [0.003, 0.02, 0.06, 0.2, 0.45])
def test_it_finds_the_optimum_between_the_points_of_its_grid(optimum: float) -> None:
    valley = Criterion(optimum)
    found = search(valley)
    assert found.chosen == found.best
    assert found.chosen**0.5 == pytest.approx(optimum**0.5, abs=0.01)
    assert found.passes == 0.5 * len(valley.asked)
    assert len(valley.asked) == len(set(valley.asked)) <= 10
    assert [point.alpha for point in found.points] == sorted(valley.asked)


def test_the_points_are_the_means_with_bands_of_their_paired_difference() -> None:
    valley = Criterion(0.1)
    found = search(valley)
    for point in found.points:
        assert point.value == pytest.approx(float(valley(point.alpha).mean()), abs=1e-12)
    first, last = found.points[0], found.points[-1]
    assert first.low == pytest.approx(first.value) == first.high
    difference = (valley(last.alpha) - valley(0.0)).numpy()
    wide = 1.96 * difference.std() / len(difference) ** 0.5
    assert last.high - last.value == pytest.approx(wide, rel=0.25)
    assert last.value - last.low == pytest.approx(wide, rel=0.25)
    gains = (valley(0.0) - valley(found.best)).numpy()
    assert found.gain == pytest.approx(gains.mean())
    assert found.standard_error == pytest.approx(gains.std(ddof=1) / len(gains) ** 0.5)


def test_alpha_0_stays_unless_it_is_beaten_by_margin_standard_errors() -> None:
    errors = search(Criterion(0.1, noise=2.0)).gain / search(Criterion(0.1, noise=2.0)).standard_error
    less, more = (search(Criterion(0.1, noise=2.0), margin=share * errors) for share in (0.9, 1.1))
    assert less.chosen == less.best > 0
    assert "required)" in less.reason
    assert (more.chosen, more.best) == (0, less.best)
    assert more.reason.endswith("so α = 0 stays")


def test_where_no_alpha_is_better_0_stays_and_the_next_best_is_named_with_its_uncertainty() -> None:
    found = search(Criterion(0.0))
    assert (found.chosen, found.best, found.gain, found.standard_error) == (0, 0, 0, 0)
    assert found.reason.startswith("no α lowered the criterion; the next best, 0.00")
    assert "standard error of 0.0" in found.reason


def test_a_flat_criterion_and_a_single_term_change_nothing() -> None:
    for terms in (torch.zeros(7, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)):
        found = search_label_free(lambda _, t=terms: t, LabelFreeAlpha(margin=0), n=7, passes=1.0, seed=0)
        assert (found.chosen, found.standard_error) == (0, 0)


def test_from_1_it_is_the_mirror_image() -> None:
    here, there = (
        search(Criterion(0.1), maximum=0.3),
        search(Criterion(0.1), trained_alpha=1.0, maximum=0.3),
    )
    assert there.chosen == pytest.approx(1 - here.chosen, abs=1e-12)
    assert [1 - point.alpha for point in there.points] == pytest.approx([point.alpha for point in here.points])
    assert [point.value for point in there.points] == pytest.approx([point.value for point in here.points])
    assert np.array([point.alpha for point in there.points]).min() == pytest.approx(0.7)
