"""Laws of the split."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.data import split
from calibrate.errors import DataError

labels_of_any_kind = st.lists(st.integers(0, 6), min_size=2, max_size=60).map(np.array)
seeds = st.integers(0, 2**32 - 1)


@given(labels=labels_of_any_kind, seed=seeds)
def test_halves_are_ascending_disjoint_complete_and_equal(labels: np.ndarray, seed: int) -> None:
    halves = split(labels, seed)
    for half in (halves.calibration, halves.holdout):
        assert (np.diff(half) > 0).all()
        assert half.dtype == np.int64
    assert sorted([*halves.calibration, *halves.holdout]) == list(range(len(labels)))
    assert len(halves.calibration) - len(halves.holdout) == len(labels) % 2


@given(labels=labels_of_any_kind, seed=seeds)
def test_every_class_is_halved(labels: np.ndarray, seed: int) -> None:
    halves = split(labels, seed)
    calibration, holdout = (Counter(labels[half].tolist()) for half in (halves.calibration, halves.holdout))
    assert all(abs(calibration[label] - holdout[label]) <= 1 for label in set(labels.tolist()))


@given(labels=labels_of_any_kind, seed=seeds)
def test_stratified_unless_a_class_has_one_example(labels: np.ndarray, seed: int) -> None:
    halves = split(labels, seed)
    counts = Counter(labels.tolist())
    single = sum(count == 1 for count in counts.values())
    assert halves.stratified == (single == 0)
    assert [(finding.code, finding.severity) for finding in halves.findings] == [("not-stratified", "info")] * (
        single > 0
    )
    if single:
        assert f"{single} of {len(counts)} classes" in halves.findings[0].message


@given(labels=labels_of_any_kind, seed=seeds)
def test_only_labels_and_seed_matter(labels: np.ndarray, seed: int) -> None:
    np.random.seed(1)
    one = split(labels, seed)
    state = np.random.get_state()[1].tolist()  # type: ignore[index]
    np.random.seed(2)
    other = split(labels.astype(np.uint8), seed)
    np.testing.assert_array_equal(one.calibration, other.calibration)
    np.random.seed(1)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]


@pytest.mark.parametrize("labels", [np.arange(8), np.zeros(8, dtype=int), np.repeat(np.arange(3), 3)])
def test_every_example_goes_to_either_half_equally_often(labels: np.ndarray) -> None:
    seeds = 600
    chosen = np.zeros(len(labels))
    for seed in range(seeds):
        chosen[split(labels, seed).calibration] += 1
    probability = (len(labels) + 1) // 2 / len(labels)
    deviation = (chosen - seeds * probability) / np.sqrt(seeds * probability * (1 - probability))
    assert np.abs(deviation).max() < 4


@pytest.mark.parametrize("n", [0, 1])
def test_too_few(n: int) -> None:
    with pytest.raises(DataError, match=rf"hold {n} example"):
        split(np.zeros(n, dtype=np.int64), 0)
