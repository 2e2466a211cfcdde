"""The warning that a network guesses."""

import pytest

from calibrate.metrics import near_chance
from calibrate.values import Estimate


@pytest.mark.parametrize(
    ("value", "low", "high", "outputs", "warned"),
    [
        (0.101, 0.09, 0.112, 10, True),  # guessing
        (0.02, 0.01, 0.03, 10, True),  # worse than guessing: the classes are in another order
        (0.15, 0.14, 0.16, 10, True),  # above guessing, but below twice that
        (0.2, 0.19, 0.21, 10, True),
        (0.21, 0.2, 0.22, 10, False),
        (0.002, 0.0015, 0.0025, 1000, True),
        (0.76, 0.75, 0.77, 1000, False),
        (0.3, 0.25, 0.35, 4, True),  # reaches down to guessing
        (0.3, 0.28, 0.32, 4, False),  # few classes: twice guessing may be all there is to know
        (0.9, 0.85, 0.95, 2, False),
        (0.8, 0.5, 1.0, 2, True),  # too few examples to tell
    ],
)
def test_when_it_warns(value: float, low: float, high: float, outputs: int, warned: bool) -> None:
    assert (near_chance(Estimate(value=value, low=low, high=high), outputs) is not None) == warned


def test_what_it_says() -> None:
    finding = near_chance(Estimate(value=0.1234, low=0.1111, high=0.1357), 8)
    assert finding is not None
    assert (finding.code, finding.severity) == ("near-chance", "warning")
    for words in ("12.34%", "11.11%", "13.57%", "8 classes", "12.50%", "order of the classes", "mean, std", "channel"):
        assert words in finding.message


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.0, 0.05, ": fewer than that."), (0.1, 0.15, ": hard to tell apart.")]
)
def test_it_says_whether_that_is_less_than_guessing(low: float, high: float, said: str) -> None:
    finding = near_chance(Estimate(value=0.05, low=low, high=high), 8)
    assert finding is not None
    assert said in finding.message
