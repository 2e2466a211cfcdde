"""Scores of single examples, against a float64 loop, torchmetrics and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from calibrate.errors import DataError, ModelError, UsageError
from calibrate.metrics import PerExample, score
from tests.builders.draws import network

FIELDS = ("top1", "top5", "nll", "brier", "confidence")


def reference(logits: Tensor, labels: Tensor, temperature: float) -> dict[str, list[float]]:
    """One example and one class at a time, from the definitions."""
    table: dict[str, list[float]] = {name: [] for name in FIELDS}
    for row, label in zip(logits.to(torch.float64).tolist(), labels.tolist(), strict=True):
        ranking = sorted(range(len(row)), key=lambda k: (-row[k], k))
        z = [value / temperature for value in row]
        weights = [math.exp(value - max(z)) for value in z]
        total = math.fsum(weights)
        p = [weight / total for weight in weights]
        table["top1"].append(float(ranking[0] == label))
        table["top5"].append(float(label in ranking[:5]))
        table["nll"].append(max(z) - z[label] + math.log(total))
        table["brier"].append(math.fsum((p[k] - (k == label)) ** 2 for k in range(len(row))))
        table["confidence"].append(max(p))
    return table


def assert_equals_reference(result: PerExample, logits: Tensor, labels: Tensor, temperature: float) -> None:
    for name, expected in reference(logits, labels, temperature).items():
        column = getattr(result, name)
        assert column.dtype == np.float64
        np.testing.assert_allclose(column, np.array(expected), rtol=1e-12, atol=1e-14, err_msg=name)


@st.composite
def examples(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Few distinct values, so that ties are common, and some as large as a float16 holds them."""
    n, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    value = st.sampled_from([-1e4, -3.0, -0.5, 0.0, 0.25, 3.0, 1e4]) | st.floats(-1e4, 1e4)
    table = draw(st.lists(st.lists(value, min_size=outputs, max_size=outputs), min_size=n, max_size=n))
    labels = draw(st.lists(st.integers(0, outputs - 1), min_size=n, max_size=n))
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
    return torch.tensor(table, dtype=dtype), torch.tensor(labels)


@given(example=examples(), temperature=st.floats(0.05, 20))
def test_equals_the_definition_one_example_at_a_time(example: tuple[Tensor, Tensor], temperature: float) -> None:
    logits, labels = example
    assert_equals_reference(score(logits, labels, temperature), logits, labels, temperature)


@given(example=examples(), temperature=st.floats(0.05, 20))
def test_ranks_ignore_the_temperature_and_the_top_five_contain_the_top_one(
    example: tuple[Tensor, Tensor], temperature: float
) -> None:
    logits, labels = example
    plain, scaled = score(logits, labels), score(logits, labels, temperature)
    np.testing.assert_array_equal(plain.top1, (logits.double().numpy().argmax(1) == labels.numpy()).astype(float))
    np.testing.assert_array_equal(plain.top1, scaled.top1)
    np.testing.assert_array_equal(plain.top5, scaled.top5)
    assert (plain.top1 <= plain.top5).all()


@pytest.mark.parametrize("outputs", [2, 4, 7, 30])
def test_equals_torchmetrics_and_sklearn(outputs: int) -> None:
    logits, labels = network(300, outputs, seed=outputs, skill=1.5)
    result = score(logits, labels, 1.7)
    p = torch.softmax(logits / 1.7, 1).numpy()
    classes = list(range(outputs))
    for name, k in (("top1", 1), ("top5", min(5, outputs))):
        expected = multiclass_accuracy(logits, labels, outputs, average="micro", top_k=k).item()
        assert getattr(result, name).mean() == pytest.approx(expected, abs=1e-6)
    assert result.nll.mean() == pytest.approx(log_loss(labels, p, labels=classes), rel=1e-12)
    expected_brier = brier_score_loss(labels, p, labels=classes, scale_by_half=False)
    assert result.brier.mean() == pytest.approx(expected_brier, rel=1e-12)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = network(37, 6, seed=1)
    whole = score(logits, labels)
    for chunk in (1, 13, 60):
        monkeypatch.setattr("calibrate.metrics.scores.CHUNK", chunk)
        split = score(logits, labels)
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(split, name), getattr(whole, name))


def test_a_confident_network_keeps_its_small_losses() -> None:
    """1 − 2p + Σp² would round a Brier score of 5e-27 to zero, or below it."""
    logits, labels = torch.tensor([[30.0, 0.0], [0.0, 30.0]]), torch.tensor([0, 0])
    result = score(logits, labels)
    assert result.nll[0] == pytest.approx(math.log1p(math.exp(-30)), rel=1e-2)
    assert result.nll[1] == pytest.approx(30, rel=1e-12)
    assert 0 < result.brier[0] < 1e-25


def test_takes_logits_that_require_gradients_and_leaves_them_alone() -> None:
    logits, labels = network(5, 3, seed=2)
    before = logits.clone()
    logits.requires_grad_()
    assert_equals_reference(score(logits, labels, 2.0), before, labels, 2.0)
    assert logits.grad is None
    assert torch.equal(logits.detach(), before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_logits_that_are_not_finite_are_counted(value: float, dtype: torch.dtype) -> None:
    """Also where the label's own probability would come out finite."""
    logits, labels = network(10, 4, seed=3)
    logits = logits.to(dtype)
    for row in (2, 7):
        logits[row, (int(labels[row]) + 1) % 4] = value
    with pytest.raises(ModelError, match=r"2 of 10 examples.*half precision.*preprocessing"):
        score(logits, labels)


@pytest.mark.parametrize("label", [-1, 4, 255])
def test_labels_without_an_output_are_refused(label: int) -> None:
    logits, labels = network(10, 4, seed=4)
    labels[3] = label
    with pytest.raises(DataError, match=rf"1 of 10 labels, such as {label}, .* from 0 to 3"):
        score(logits, labels)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_finite_and_above_zero(temperature: float) -> None:
    logits, labels = network(3, 2, seed=5)
    with pytest.raises(UsageError, match="give a finite number above 0"):
        score(logits, labels, temperature)
