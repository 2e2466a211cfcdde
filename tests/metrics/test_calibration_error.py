"""Calibration error and reliability, against torchmetrics and a loop over the definition."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from calibrate.metrics import PerExample, expected_calibration_error, reliability, score
from calibrate.metrics.scores import Column
from tests.builders.draws import columns, network

BINS = st.integers(1, 40)


def reference(confidence: Column, correct: Column, bins: int) -> float:
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [i for i, c in enumerate(confidence) if low < c <= high]
        if inside:
            accuracy, mean = correct[inside].mean(), confidence[inside].mean()
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Column, Column, int]:
    """Confidences above 0, many of them on an edge of the bins."""
    bins = draw(BINS)
    edge = st.integers(1, bins).map(lambda b: float(np.linspace(0, 1, bins + 1)[b]))
    pairs = draw(st.lists(st.tuples(edge | st.floats(1e-9, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=30))
    confidence, correct = np.array(pairs).T
    return confidence, correct, bins


@given(predictions())
def test_equals_the_definition_also_on_the_edges(case: tuple[Column, Column, int]) -> None:
    confidence, correct, bins = case
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(
        reference(confidence, correct, bins), abs=1e-12
    )


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 97])
@pytest.mark.parametrize("skill", [0.0, 1.5, 4.0])
def test_equals_torchmetrics(bins: int, skill: float) -> None:
    logits, labels = network(400, 6, seed=bins, skill=skill)
    result = score(logits, labels)
    expected = multiclass_calibration_error(torch.softmax(logits, 1), labels, 6, n_bins=bins, norm="l1").item()
    assert expected_calibration_error(result.confidence, result.top1, bins) == pytest.approx(expected, abs=1e-6)


@given(predictions())
def test_reliability_holds_every_example_and_explains_the_error(case: tuple[Column, Column, int]) -> None:
    confidence, correct, bins = case
    n = len(confidence)
    zero = np.zeros(n)
    diagram = reliability(PerExample(top1=correct, top5=zero, nll=zero, brier=zero, confidence=confidence), bins)
    assert len(diagram) == bins
    assert [b.low for b in diagram[1:]] == [b.high for b in diagram[:-1]]
    assert (diagram[0].low, diagram[-1].high) == (0, 1)
    for b in diagram:
        inside = (b.low < confidence) & (confidence <= b.high)
        assert b.count == inside.sum()
        assert b.confidence == pytest.approx(confidence[inside].mean() if b.count else 0, abs=1e-12)
        assert b.accuracy == pytest.approx(correct[inside].mean() if b.count else 0, abs=1e-12)
    error = sum(b.count / n * abs(b.accuracy - b.confidence) for b in diagram)
    assert error == pytest.approx(expected_calibration_error(confidence, correct, bins), abs=1e-12)


def test_a_confidence_of_zero_is_in_the_first_bin() -> None:
    assert expected_calibration_error(np.array([0.0]), np.array([1.0]), 4) == 1


def test_the_mean_gap_is_the_least_the_bins_can_show() -> None:
    """One bin: |accuracy − mean confidence|; a finer split of it never shows less."""
    scores = columns(500, seed=0)
    errors = [expected_calibration_error(scores.confidence, scores.top1, bins) for bins in (1, 2, 4, 8, 16)]
    assert errors[0] == pytest.approx(abs(scores.top1.mean() - scores.confidence.mean()))
    assert errors == sorted(errors)
