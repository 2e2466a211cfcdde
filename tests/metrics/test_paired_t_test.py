"""The paired t-test against scipy's."""

import math

import numpy as np
import pytest
import scipy.stats

from calibrate.metrics import paired_t_test
from calibrate.metrics.t_test import _above


@pytest.mark.parametrize("n", [2, 3, 4, 5, 15, 16, 300])
@pytest.mark.parametrize("shift", [-3.0, -0.2, 0.0, 0.5, 4.0])
def test_it_is_scipys(n: int, shift: float) -> None:
    draw = np.random.default_rng(n)
    baseline = draw.normal(size=n)
    values = baseline + shift + draw.normal(size=n)
    test, expected = (
        paired_t_test(values.tolist(), baseline.tolist()),
        scipy.stats.ttest_rel(values, baseline, alternative="greater"),
    )
    assert test.mean == pytest.approx((values - baseline).mean(), abs=1e-14)
    assert test.t == pytest.approx(expected.statistic, rel=1e-12)
    assert test.p == pytest.approx(expected.pvalue, abs=2e-14)


@pytest.mark.parametrize("freedom", range(1, 12))
def test_its_distribution_is_scipys_in_the_tails_too(freedom: int) -> None:
    for t in (-math.inf, -50.0, -1.0, -1e-3, 0.0, 0.3, 12.0, 1e6, math.inf):
        assert _above(t, freedom) == pytest.approx(scipy.stats.t.sf(t, freedom), abs=2e-14)


def test_equal_differences() -> None:
    assert paired_t_test([1, 2, 3], [1, 2, 3]).p == 0.5
    assert paired_t_test([2, 3, 4], [1, 2, 3]).p == 0.0
    assert paired_t_test([0, 1, 2], [1, 2, 3]).p == 1.0


def test_values_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_t_test([1, 2, 3], [1, 2])
