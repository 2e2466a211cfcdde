"""The verdict, over every combination of signs."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.steps import Difference, judge
from calibrate.values import Estimate, Verdict

BELOW, ACROSS, ABOVE = (
    Estimate(value=-0.02, low=-0.03, high=-0.01),
    Estimate(value=0.01, low=-0.01, high=0.03),
    Estimate(value=0.02, low=0.01, high=0.03),
)
TOUCHING_BELOW = Estimate(value=-0.01, low=-0.02, high=0.0)
TOUCHING_ABOVE = Estimate(value=0.01, low=0.0, high=0.02)


def difference(nll: Estimate, top1: Estimate, **others: Estimate) -> Difference:
    return Difference(arm="alpha+T", baseline="T", metrics={"nll": nll, "top1": top1, **others})


@pytest.mark.parametrize(
    ("nll", "top1", "verdict"),
    [
        (BELOW, ABOVE, "improved"),
        (BELOW, ACROSS, "improved"),
        (BELOW, BELOW, "worse"),
        (ACROSS, ABOVE, "improved"),
        (ACROSS, ACROSS, "no evidence"),
        (ACROSS, BELOW, "worse"),
        (ABOVE, ABOVE, "worse"),
        (ABOVE, ACROSS, "worse"),
        (ABOVE, BELOW, "worse"),
        (TOUCHING_BELOW, TOUCHING_ABOVE, "no evidence"),
        (TOUCHING_ABOVE, TOUCHING_BELOW, "no evidence"),
        (TOUCHING_BELOW, ABOVE, "improved"),
    ],
)
def test_every_combination_of_sides(nll: Estimate, top1: Estimate, verdict: Verdict) -> None:
    assert judge(difference(nll, top1), 100)[0] == verdict


numbers = st.floats(-1, 1) | st.sampled_from([-0.0, 0.0, 5e-324, -5e-324])
estimates = st.tuples(numbers, numbers, numbers).map(sorted).map(lambda t: Estimate(low=t[0], value=t[1], high=t[2]))
#: An interval that holds zero decides nothing.
undecided = st.tuples(st.floats(-1, 0), st.floats(0, 1)).map(lambda t: Estimate(low=t[0], value=sum(t) / 2, high=t[1]))
anything = settings(deadline=None)
TURNED: dict[Verdict, Verdict] = {"improved": "worse", "worse": "improved", "no evidence": "no evidence"}


def turned(estimate: Estimate) -> Estimate:
    return Estimate(value=-estimate.value, low=-estimate.high, high=-estimate.low)


@anything
@given(estimates, undecided)
def test_turning_the_signs_turns_the_verdict_when_one_metric_decides(one: Estimate, other: Estimate) -> None:
    for nll, top1 in ((one, other), (other, one)):
        there, back = judge(difference(nll, top1), 100)[0], judge(difference(turned(nll), turned(top1)), 100)[0]
        assert back == TURNED[there]


@anything
@given(estimates)
def test_less_loss_and_more_accuracy_are_the_same_good(one: Estimate) -> None:
    flat = Estimate(value=0, low=-1, high=1)
    assert judge(difference(one, flat), 100)[0] == judge(difference(flat, turned(one)), 100)[0]


@anything
@given(estimates, estimates, st.floats(0, 1))
def test_a_better_interval_never_makes_the_verdict_worse(nll: Estimate, top1: Estimate, gain: float) -> None:
    rank = {"worse": 0, "no evidence": 1, "improved": 2}
    before = rank[judge(difference(nll, top1), 100)[0]]
    less = Estimate(value=nll.value - gain, low=nll.low - gain, high=nll.high - gain)
    more = Estimate(value=top1.value + gain, low=top1.low + gain, high=top1.high + gain)
    assert rank[judge(difference(less, top1), 100)[0]] >= before
    assert rank[judge(difference(nll, more), 100)[0]] >= before


@anything
@given(estimates, estimates, estimates)
def test_other_metrics_are_not_judged(nll: Estimate, top1: Estimate, other: Estimate) -> None:
    assert judge(difference(nll, top1), 100) == judge(difference(nll, top1, ece=other, brier=other, top5=other), 100)


def test_an_identical_network_is_no_evidence() -> None:
    nothing = Estimate(value=0, low=0, high=0)
    assert judge(difference(nothing, nothing), 100)[0] == "no evidence"


def test_an_interval_that_is_not_a_number_is_no_evidence() -> None:
    unknown = Estimate(value=math.nan, low=math.nan, high=math.nan)
    assert judge(difference(unknown, unknown), 100)[0] == "no evidence"


def test_one_reason_for_each_judged_metric_in_its_own_unit() -> None:
    nll = Estimate(value=-0.0123, low=-0.0206, high=-0.0041)
    top1 = Estimate(value=0.0031, low=-0.0042, high=0.0105)
    assert judge(difference(nll, top1), 100)[1] == (
        "NLL alpha+T minus T: -0.0123, 95 % interval [-0.0206, -0.0041]: better",
        "top-1 alpha+T minus T: +0.31 points, 95 % interval [-0.42, +1.05]: no evidence either way",
    )
    assert judge(difference(turned(nll), top1), 100)[1][0].endswith(": worse")


@pytest.mark.parametrize("examples", range(9))
def test_so_few_examples_prove_nothing_that_a_sign_test_could_not(examples: int) -> None:
    """Of n differences all have one sign by chance with the probability 2 / 2ⁿ: above .05 nothing is proven."""
    same = Estimate(value=-0.3, low=-0.3, high=-0.3)
    enough = 2 * 0.5**examples <= 0.05
    assert judge(difference(same, ACROSS), examples)[0] == ("improved" if enough else "no evidence")
    assert judge(difference(turned(same), ACROSS), examples)[0] == ("worse" if enough else "no evidence")
    reasons = judge(difference(same, ACROSS), examples)[1]
    assert len(reasons) == (2 if enough else 3)
    assert (f"{examples} held-out example" in reasons[0]) == (not enough)
