"""A share of every class."""

import numpy as np
import pytest

from calibrate.data import stratified
from calibrate.errors import DataError


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
def test_each_class_gives_its_share_of_the_rows_asked_for(share: float) -> None:
    labels = np.random.default_rng(0).choice(4, 400, p=[0.1, 0.2, 0.3, 0.4]).astype(np.int64)
    rows = np.flatnonzero(labels != 2)
    drawn, left = stratified(labels, rows, share, [7, 1], "fraction")
    for label in (0, 1, 3):
        assert (labels[drawn] == label).sum() == round(share * (labels == label).sum())
    assert np.array_equal(np.sort(np.concatenate([drawn, left])), rows)
    assert np.array_equal(drawn, np.sort(drawn))
    again, _ = stratified(labels, rows[::-1].copy(), share, [7, 1], "fraction")
    assert np.array_equal(again, drawn), "the order of the rows decides nothing"
    other, _ = stratified(labels, rows, share, [8, 1], "fraction")
    assert not np.array_equal(other, drawn)


@pytest.mark.parametrize(("share", "count"), [(0.1, 0), (0.9, 3)])
def test_a_class_that_would_give_nothing_or_all_is_an_error(share: float, count: int) -> None:
    labels = np.array([0] * 20 + [1] * 3)
    with pytest.raises(DataError, match=rf"fraction {share} of the 3 examples of class 1 is {count}"):
        stratified(labels, np.arange(23), share, [0], "fraction")
