"""What is said of predictions without labels: against numpy in float64, and its invariances."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy as shannon
from torch import Tensor

from calibrate.search import agreement, entropy, probabilities, spread


def logits(seed: int = 0, n: int = 60, classes: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    return (4 * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed))).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_entropy_is_mean_entropy_less_that_of_the_mean(dtype: torch.dtype) -> None:
    z = logits(dtype=dtype)
    p = softmax(0.7 * z.double().numpy(), 1)
    np.testing.assert_allclose(probabilities(z, 0.7), p, rtol=1e-12)
    found = entropy(probabilities(z, 0.7))
    assert found.shape == (60,)
    np.testing.assert_allclose(found.mean(), shannon(p, axis=1).mean() - shannon(p.mean(0)), rtol=1e-10)
    np.testing.assert_allclose(found, [-shannon(row, p.mean(0)) for row in p], rtol=1e-10)


def test_agreement_is_the_divergence_of_the_views_less_what_the_answers_tell() -> None:
    p, q = (softmax(logits(seed).double().numpy(), 1) for seed in (0, 1))
    apart = jensenshannon(p, q, axis=1) ** 2
    found = agreement(torch.from_numpy(p), torch.from_numpy(q))
    np.testing.assert_allclose(found, apart + entropy(torch.from_numpy(p)).numpy(), rtol=1e-9, atol=1e-12)


def test_sure_answers_that_are_all_the_same_are_as_bad_as_unsure_ones_and_sure_ones_of_all_classes_are_best() -> None:
    same, varied = torch.eye(4).double()[[0] * 8], torch.eye(4).double().repeat(2, 1)
    unsure = torch.full((8, 4), 0.25, dtype=torch.float64)
    for p in (same, unsure):
        assert float(entropy(p).mean()) == pytest.approx(0, abs=1e-15)
        assert float(agreement(p, p).mean()) == pytest.approx(0, abs=1e-15)
    for criterion in (entropy(varied), agreement(varied, varied)):
        assert float(criterion.mean()) == pytest.approx(-np.log(4))
    assert float(agreement(varied, varied.roll(1, 0)).mean()) == pytest.approx(np.log(2) - np.log(4))


def test_the_order_of_the_examples_and_of_the_classes_does_not_matter() -> None:
    z, view = probabilities(logits(0), 1.0), probabilities(logits(1), 1.0)
    rows, classes = torch.randperm(60), torch.randperm(5)
    for criterion, parts in ((entropy, (z,)), (agreement, (z, view))):
        there = criterion(*(part[rows][:, classes] for part in parts))
        torch.testing.assert_close(there, criterion(*parts)[rows], rtol=1e-12, atol=1e-14)


def test_answers_of_one_spread_do_not_depend_on_the_scale_or_level_of_the_logits() -> None:
    z = logits(dtype=torch.float64)
    centred = z.numpy() - z.numpy().mean(1, keepdims=True)
    assert spread(z) == pytest.approx(np.sqrt((centred**2).mean()), rel=1e-14)
    other = 3 * z + torch.randn(60, 1, dtype=torch.float64)
    torch.testing.assert_close(probabilities(other, 2.0 / spread(other)), probabilities(z, 2.0 / spread(z)))
