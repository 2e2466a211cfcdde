"""Ranking: Holm by its definition, p-values and detectable differences against independent formulas."""

import itertools

import numpy as np
import pytest
import torch

from calibrate.metrics import ArmScores, measure, rank, score
from calibrate.metrics.p_values import holm


def by_definition(p: list[float]) -> list[float]:
    """A hypothesis goes at level a if every set of hypotheses that it is in is rejected by Bonferroni (closed test)."""
    adjusted = []
    for place in range(len(p)):
        others = [other for other in range(len(p)) if other != place]
        sets = [(place, *more) for size in range(len(p)) for more in itertools.combinations(others, size)]
        adjusted.append(max(min(1.0, len(one) * min(p[i] for i in one)) for one in sets))
    return adjusted


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_of_bonferroni(seed: int) -> None:
    random = np.random.default_rng(seed)
    p = (random.random(random.integers(1, 7)) ** 3).round(2).tolist()
    assert holm(p) == pytest.approx(by_definition(p))


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == ()


def scores(n: int = 400, arms: int = 4) -> list:  # type: ignore[type-arg]
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (n,), generator=generator)
    signal = torch.nn.functional.one_hot(labels, 5).double()
    noise = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return [score(0.4 * (2 + arm) * signal + noise, labels, 1.0 + 0.2 * (arm == 1)) for arm in range(arms)]


def test_values_and_intervals_are_those_of_a_measurement() -> None:
    arms = scores()
    names = ("original", "T", "alpha+T", "tuned+T")
    whole = measure(
        [ArmScores(name, False, 1.0, arm) for name, arm in zip(names, arms, strict=True)],  # type: ignore[arg-type]
        [("tuned+T", "T"), ("tuned+T", "original")],
        resamples=300,
        bins=15,
        seed=3,
    )
    ranked = rank(arms, resamples=300, bins=15, seed=3)
    assert [item.metrics for item in ranked] == [item.metrics for item in whole.arms]
    assert ranked[3].against_second == whole.difference("tuned+T", "T").metrics
    assert ranked[3].against_first == whole.difference("tuned+T", "original").metrics
    assert ranked[0].against_first == ranked[0].against_second == ranked[1].against_second == {}


def test_p_values_agree_with_those_of_the_textbook() -> None:
    """McNemar's by the binomial sum, and the paired z-test, each times its place in Holm's order."""
    from scipy import stats

    arms = scores(arms=3)
    one = rank(arms, resamples=100, bins=15, seed=0)[2]
    change = arms[2].top1 - arms[1].top1
    fixed, broken = int((change > 0).sum()), int((change < 0).sum())
    exact = stats.binomtest(fixed, fixed + broken).pvalue
    gap = arms[2].nll - arms[1].nll
    by_z = 2 * stats.norm.sf(abs(gap.mean()) / stats.sem(gap))
    expected = holm([by_z, exact])
    assert one.holm["top1"] == pytest.approx(expected[1])
    assert one.holm["nll"] == pytest.approx(expected[0])


def test_few_examples_cannot_be_surer_than_a_sign_test() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    logits = torch.nn.functional.one_hot(labels, 2).double()
    arms = [score(factor * logits, labels) for factor in (1.0, 1.0, 1.001)]
    assert rank(arms, resamples=100, bins=15, seed=0)[2].holm["nll"] == 2 * 2 / 2**4


def test_a_candidate_like_t_has_no_p_to_speak_of() -> None:
    first, second, *_ = scores(arms=2)
    assert rank([first, second, second], resamples=100, bins=15, seed=0)[2].holm == {"nll": 1.0, "top1": 1.0}


def test_a_detectable_difference_is_detected_four_times_in_five() -> None:
    arms = scores(arms=3)
    gap = arms[2].nll - arms[1].nll
    found = rank(arms, resamples=4000, bins=15, seed=0)[2].detectable["nll"]
    error = gap.std(ddof=1) / len(gap) ** 0.5
    draws = np.random.default_rng(0).normal(found, error, 20_000)
    assert (np.abs(draws) > 1.96 * error).mean() == pytest.approx(0.8, abs=0.03)


def test_two_baselines_alone_have_nothing_to_correct() -> None:
    first, second = rank(scores(arms=2), resamples=100, bins=15, seed=0)
    assert first.holm == second.holm == first.detectable == {}
    assert second.detectable["nll"] > 0
