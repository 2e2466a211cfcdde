"""The search for λ on landscapes whose optimum is known, and its criteria against plain computations."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrate.errors import NonFiniteError
from calibrate.search import (
    InformationCriterion,
    LabelledCriterion,
    Mix,
    fit_temperature,
    paired_gain,
    search_statistics,
    spread,
)
from calibrate.steps import SearchStatistics, StatisticsChoice

N, CLASSES = 600, 5

Height = Callable[[Mix], float]
LINE, ONE = SearchStatistics(), SearchStatistics(search="one")


def labels() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, CLASSES, N))


def logits_at(height: float, noise: int = 1) -> Tensor:
    """Logits that know the labels the better, the lower ``height`` is; what they do not know is always the same."""
    own = torch.from_numpy(np.random.default_rng(noise).normal(size=(N, CLASSES)))
    return own + (2 - height) * torch.nn.functional.one_hot(labels(), CLASSES)


def search(height: Height, step: SearchStatistics = LINE, layers: int = 9) -> StatisticsChoice:
    return search_statistics(
        lambda mix: logits_at(height(mix)), LabelledCriterion(labels(), 0), step, layers=layers, examples=N
    )


@pytest.mark.parametrize("optimum", [0.9, 0.75, 0.6, 0.3, 0.15, 0.0, 0.45])
def test_one_weight_is_found_to_within_the_points_around_the_best(optimum: float) -> None:
    found = search(lambda mix: 4 * (mix.first - optimum) ** 2, ONE)
    assert found.chosen[0] == found.chosen[1]
    assert found.chosen[0] in ({0.3, 0.6} if optimum == 0.45 else {optimum})
    assert found.best_single == found.chosen[0]
    assert found.gain > 0
    assert [point.first for point in found.points] == sorted((p.first for p in found.points), reverse=True)


@pytest.mark.parametrize("tilt", [(1.0, 0.5), (0.5, 1.0), (0.85, 0.35)])
def test_a_line_is_found_on_the_side_where_it_is(tilt: tuple[float, float]) -> None:
    def height(mix: Mix) -> float:
        return 3 * ((mix.first - tilt[0]) ** 2 + (mix.last - tilt[1]) ** 2)

    found, single = search(height), search(height, ONE)
    assert (found.chosen[0] - found.chosen[1]) * (tilt[0] - tilt[1]) > 0
    assert height(Mix(*found.chosen)) < height(Mix(*single.chosen))
    assert found.best_single == single.best_single
    assert "one λ for all layers" in found.reason
    assert len(found.points) <= 10


def test_where_nothing_is_better_the_stored_statistics_stay() -> None:
    found = search(lambda mix: 3 * ((1 - mix.first) ** 2 + (1 - mix.last) ** 2))
    assert found.chosen == found.best == (1.0, 1.0)
    assert found.best_single == 1.0
    assert found.gain == 0
    assert "no new statistics lowered the cross-entropy after T" in found.reason
    assert {(0.975, 0.975), (0.95, 0.95)} <= {(point.first, point.last) for point in found.points}


def test_ties_keep_what_is_stored() -> None:
    assert search(lambda _: 0.0).chosen == (1.0, 1.0)
    assert search(lambda mix: 0.0 if mix.first < 1 or mix.last < 1 else 1.0).chosen == (0.95, 0.95)


def test_a_gain_within_its_noise_is_not_taken() -> None:
    def logits_of(mix: Mix) -> Tensor:
        """New statistics redraw part of what is not known; no λ is really better."""
        return logits_at(0.0) if mix == (1, 1) else logits_at(0.0, noise=2 + round(1000 * (mix.first + 2 * mix.last)))

    def chosen(margin: float) -> StatisticsChoice:
        step = SearchStatistics(margin=margin)
        return search_statistics(logits_of, LabelledCriterion(labels(), 0), step, layers=9, examples=N)

    assert chosen(0.0).chosen != (1.0, 1.0)
    assert chosen(4.0).chosen == (1.0, 1.0)
    assert "4 of them required), so the stored statistics stay" in chosen(4.0).reason


def test_a_single_layer_has_no_line() -> None:
    found = search(lambda mix: abs(mix.first - 0.75), layers=1)
    assert all(point.first == point.last for point in found.points)
    assert len(found.points) == 6


def test_a_grid_of_one_is_searched_too() -> None:
    found = search(lambda mix: (mix.first - 0.5) ** 2, SearchStatistics(grid=(0.0,), search="one"))
    assert {1.0, 0.5, 0.0} < {point.first for point in found.points}
    assert len(found.points) == 4
    assert found.chosen == (0.5, 0.5)


def test_points_say_what_was_measured() -> None:
    found = search(lambda mix: (mix.first - 0.6) ** 2 + (mix.last - 0.6) ** 2)
    for point in found.points:
        logits = logits_at((point.first - 0.6) ** 2 + (point.last - 0.6) ** 2)
        fitted = fit_temperature(logits, labels())
        assert point.value == pytest.approx(float(fitted.nll.mean()), rel=1e-12)
        assert point.temperature == fitted.value
        assert point.top1 == pytest.approx(float((logits.argmax(1) == labels()).double().mean()))
        assert point.low - 1e-12 <= point.value <= point.high + 1e-12
    assert found.points[0].low == pytest.approx(found.points[0].high) == pytest.approx(found.points[0].value)


def test_mutual_information_is_that_of_the_joint_distribution_and_its_noise_the_bootstrap_s() -> None:
    """At the spread of the first; a network that is only surer is none the better."""
    criterion, before, after = InformationCriterion(logits_at(0.3), 3), logits_at(0.3), logits_at(0.0)

    def information(logits: Tensor) -> float:
        p = torch.softmax(logits, 1).numpy()
        joint = p / len(p)
        independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        return float((joint * np.log(joint / independent)).sum())

    assert criterion.score(7 * before).value == pytest.approx(criterion.score(before).value, rel=1e-9)
    after = after * float(spread(before) / spread(after))
    one, other = criterion.score(before), criterion.score(after)
    assert one.value == pytest.approx(-information(before), rel=1e-10)
    gain = criterion.gain(one, other)
    assert gain.mean == pytest.approx(information(after) - information(before), rel=1e-9)
    generator, apart = np.random.default_rng(8), []
    for _ in range(800):
        rows = torch.from_numpy(generator.integers(0, N, N))
        apart.append(information(after[rows]) - information(before[rows]))
    assert gain.standard_error == pytest.approx(np.std(apart), rel=0.12)
    low, high = criterion.bands([one, other])[1]
    assert (low, high) == pytest.approx(tuple(one.value - np.percentile(apart, (97.5, 2.5))), abs=0.15 * gain.mean)


def test_without_labels_it_goes_by_mutual_information_alone() -> None:
    def height(mix: Mix) -> float:
        return 4 * (mix.first - 0.6) ** 2 + 4 * (mix.last - 0.6) ** 2

    step = SearchStatistics(criterion="mutual_information")
    found = search_statistics(
        lambda mix: 3 * logits_at(height(mix)),
        InformationCriterion(3 * logits_at(height(Mix(1.0, 1.0))), 0),
        step,
        layers=4,
        examples=N,
    )
    assert found.chosen == (0.6, 0.6)
    assert all(point.top1 is None and point.nll is None for point in found.points)


def test_logits_that_are_no_numbers_are_refused() -> None:
    for criterion in (LabelledCriterion(labels(), 0), InformationCriterion(logits_at(0.0), 0)):
        with pytest.raises(NonFiniteError):
            criterion.score(torch.full((N, CLASSES), torch.nan))


def test_few_examples_must_prefer_new_statistics_by_more() -> None:
    def height(mix: Mix) -> float:
        return 0.3 * ((mix.first - 0.6) ** 2 + (mix.last - 0.6) ** 2)

    def chosen(examples: int) -> tuple[float, float]:
        step, criterion = SearchStatistics(margin=2), LabelledCriterion(labels(), 0)
        found = search_statistics(lambda mix: logits_at(height(mix)), criterion, step, layers=4, examples=examples)
        return found.chosen

    assert chosen(64) == (0.6, 0.6)
    assert chosen(1) == (1.0, 1.0)


def test_a_line_must_beat_the_best_single_weight_too() -> None:
    """Else a line is taken where one λ, which is simpler, may be as good and does not convince."""

    def logits_of(mix: Mix) -> Tensor:
        if mix.first == mix.last:
            return logits_at(0.0) if mix.first == 1 else logits_at(-0.02, noise=3)
        return logits_at(-0.03, noise=3)

    step, criterion = SearchStatistics(margin=0.5), LabelledCriterion(labels(), 0)
    found = search_statistics(logits_of, criterion, step, layers=9, examples=N)
    best, single = found.best, (found.best_single, found.best_single)
    scored = {mix: criterion.score(logits_of(Mix(*mix))) for mix in ((1.0, 1.0), best, single)}
    wanted = all(criterion.gain(scored[other], scored[best]).beats(0.5) for other in ((1.0, 1.0), single))
    assert best[0] != best[1]
    assert (found.chosen == best) == wanted


def test_a_single_example_convinces_of_nothing() -> None:
    gain = paired_gain(torch.tensor([3.0]), torch.tensor([1.0]))
    assert (gain.mean, gain.beats(0.0), gain.beats(1.0)) == (2.0, False, False)
    assert paired_gain(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0])).beats(1.0)
    assert "a single example, which tells no standard error" in gain.words(1.0)
