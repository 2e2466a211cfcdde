"""The fitted temperature is the minimum of the cross-entropy, wherever it lies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from calibrate.search import fit_temperature
from calibrate.search.temperature import LIMIT


def answers(seed: int, n: int, classes: int, sharpness: float, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = torch.nn.functional.one_hot(labels, classes) + noise * torch.randn(n, classes, generator=generator)
    return logits * sharpness, labels


def nll(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    z = logits.double().numpy() / temperature
    z = z - z.max(1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels.numpy()]))


@given(
    seed=st.integers(0, 1000),
    n=st.integers(20, 200),
    classes=st.integers(2, 12),
    sharpness=st.floats(0.5, 50),
    noise=st.floats(0.5, 2),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_scipy(seed: int, n: int, classes: int, sharpness: float, noise: float) -> None:
    logits, labels = answers(seed, n, classes, sharpness, noise)
    fitted = fit_temperature(logits, labels)
    best = minimize_scalar(
        lambda u: nll(logits, labels, 1 / u), bounds=(1 / LIMIT, LIMIT), method="bounded", options={"xatol": 1e-10}
    )
    assert nll(logits, labels, fitted.value) <= best.fun + 1e-9
    assert float(fitted.nll.mean()) == pytest.approx(nll(logits, labels, fitted.value), abs=1e-10)


def test_scaling_the_logits_scales_the_temperature() -> None:
    logits, labels = answers(1, 300, 5, 3.0, 1.0)
    assert fit_temperature(logits * 4, labels).value == pytest.approx(
        4 * fit_temperature(logits, labels).value, rel=1e-6
    )


@pytest.mark.parametrize("right", [True, False])
def test_says_when_the_data_do_not_determine_it(right: bool) -> None:
    labels = torch.arange(10) % 2
    logits = torch.nn.functional.one_hot(labels if right else 1 - labels, 2).float()
    assert fit_temperature(logits, labels).at_limit


def test_equal_logits_leave_the_range_without_failing() -> None:
    fitted = fit_temperature(torch.zeros(6, 3), torch.arange(6) % 3)
    assert float(fitted.nll.mean()) == pytest.approx(np.log(3))
