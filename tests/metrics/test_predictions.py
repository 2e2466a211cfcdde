"""Changed predictions, against a count by hand; McNemar's test and the paired interval, against their definitions."""

from collections import Counter
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from calibrate.metrics import Predicted, predicted_classes, prediction_changes
from calibrate.metrics.p_values import mcnemar
from calibrate.metrics.paired_proportions import paired_interval
from calibrate.metrics.predictions import LISTED
from calibrate.steps import PredictionChanges

counts = st.integers(0, 40)


def compared(
    n: int, classes: int, seed: int, names: tuple[str, ...] | None = None
) -> tuple[PredictionChanges, np.ndarray]:
    """Random answers, with the rows (label, before, after) they were made from."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, classes, (n, 3))
    before, after = (Predicted(rows[:, k], np.round(random.uniform(0.2, 1, n), 1)) for k in (1, 2))
    return prediction_changes(before, after, rows[:, 0], 10 * np.arange(n), names, "number {}".format), rows


def kind(label: int, before: int, after: int) -> str:
    if before == after:
        return "same"
    return "fixed" if after == label else "broken" if before == label else "other"


@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_counts_are_those_of_a_count_by_hand_and_classes_add_up(n: int, classes: int, seed: int) -> None:
    found, rows = compared(n, classes, seed)
    expected = Counter(kind(*row) for row in rows.tolist())
    assert (found.n, found.fixed, found.broken, found.other) == (
        n, expected["fixed"], expected["broken"], expected["other"],
    )  # fmt: skip
    assert [item.label for item in found.classes] == sorted(set(rows[:, 0].tolist()))
    for item in found.classes:
        own = rows[rows[:, 0] == item.label]
        assert (item.n, item.before, item.after) == (
            len(own), (own[:, 1] == item.label).sum(), (own[:, 2] == item.label).sum(),
        )  # fmt: skip
        assert item.after - item.before == item.fixed - item.broken
        assert item.change == pytest.approx((item.fixed - item.broken) / item.n)
    assert sum(item.fixed for item in found.classes) == found.fixed
    assert sum(item.broken for item in found.classes) == found.broken


@pytest.mark.parametrize(("n", "classes"), [(3, 2), (40, 2), (60, 4), (400, 2), (400, 5)])
def test_the_list_is_balanced_confident_and_true(n: int, classes: int) -> None:
    names = tuple(f"name {k}" for k in range(classes))
    found, rows = compared(n, classes, 1, names)
    listed = Counter(item.direction for item in found.examples)
    total = found.fixed + found.broken + found.other
    assert len(found.examples) == min(LISTED, total)
    for one, other in (("fixed", "broken"), ("broken", "fixed")):
        if listed[one] < getattr(found, one):
            assert listed[one] >= LISTED // 2
            assert listed["other"] == 0
        assert listed[one] <= LISTED // 2 or listed[other] == getattr(found, other)
    assert len({item.index for item in found.examples}) == len(found.examples)
    for item in found.examples:
        row = rows[item.index // 10].tolist()
        assert (item.label, item.before.label, item.after.label) == tuple(row)
        assert item.direction == kind(*row)
        assert item.entry == f"number {item.index}"
        assert (item.name, item.after.name) == (names[row[0]], names[row[2]])
    for direction in listed:
        chosen = [item.after.confidence for item in found.examples if item.direction == direction]
        assert chosen == sorted(chosen, reverse=True)


def test_the_listed_are_the_most_confident_after_the_change() -> None:
    n = 100
    labels, wrong = np.zeros(n, np.int64), np.ones(n, np.int64)
    confidence = np.random.default_rng(0).permutation(n) / n
    found = prediction_changes(
        Predicted(wrong, confidence[::-1]), Predicted(labels, confidence), labels, np.arange(n), None, str
    )
    assert [item.index for item in found.examples] == np.argsort(-confidence)[:LISTED].tolist()
    assert (found.examples[0].name, found.examples[0].entry) == (None, str(found.examples[0].index))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_of_equal_logits_the_lowest_class_is_the_answer(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 4.0]], dtype=dtype)
    assert predicted_classes(logits).tolist() == [1, 0, 2]


@given(counts, counts)
@settings(deadline=None)
def test_mcnemar_is_the_exact_binomial_test(fixed: int, broken: int) -> None:
    expected = binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
    assert mcnemar(fixed, broken) == pytest.approx(expected, abs=1e-12)
    assert mcnemar(fixed, broken) == mcnemar(broken, fixed)


def test_mcnemar_of_many_changes_neither_overflows_nor_leaves_0_to_1() -> None:
    assert mcnemar(5000, 5000) == 1
    assert 0 <= mcnemar(9000, 1000) < 1e-300
    assert mcnemar(0, 365) == 2.0**-364
    assert mcnemar(5100, 4900) == pytest.approx(binomtest(5100, 10000).pvalue, rel=1e-9)


@given(counts, counts, counts)
def test_the_paired_interval_turns_with_its_sign_and_narrows_with_examples(fixed: int, broken: int, same: int) -> None:
    n = fixed + broken + same + 1
    low, high = paired_interval(fixed, broken, n)
    assert -1 <= low < high <= 1
    assert paired_interval(broken, fixed, n) == pytest.approx((-high, -low))
    assert low <= (fixed - broken) / (n + 2) <= high
    more = paired_interval(4 * fixed, 4 * broken, 4 * n)
    assert more[1] - more[0] < high - low


@pytest.mark.parametrize("n", [8, 25])
@pytest.mark.parametrize(("p", "q"), [(0.0, 0.0), (0.1, 0.1), (0.3, 0.05), (0.25, 0.25)])
def test_the_paired_interval_covers_the_true_difference(n: int, p: float, q: float) -> None:
    """Its exact coverage, summed over every outcome; Bonett and Price report it close to or above 95 %."""
    covered = 0.0
    for fixed in range(n + 1):
        for broken in range(n + 1 - fixed):
            same = n - fixed - broken
            chance = comb(n, fixed) * comb(n - fixed, broken) * p**fixed * q**broken * (1 - p - q) ** same
            low, high = paired_interval(fixed, broken, n)
            covered += chance * (low <= p - q <= high)
    assert 0.93 < covered <= 1 + 1e-9
