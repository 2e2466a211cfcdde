"""Mixup: mixtures of pairs, their targets, and the draw."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from calibrate.errors import UsageError
from calibrate.finetune import mixup


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pull_apart(x: torch.Tensor, mixed: torch.Tensor) -> tuple[float, list[int]]:
    """λ and π, of inputs that are one-hot: row i of the mixture has λ at i and 1 − λ at π(i)."""
    order, weights = [], []
    for place, row in enumerate(mixed):
        others = row.clone()
        others[place] = -1
        order.append(int(others.argmax()) if others.max() > 0 else place)
        if order[-1] != place:
            weights.append(row[place].item())
    assert max(weights) - min(weights) < 1e-12
    return weights[0], order


@pytest.mark.parametrize("seed", range(5))
def test_inputs_and_targets_are_mixed_by_one_weight_and_one_permutation(seed: int) -> None:
    x, y = torch.eye(8, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    mixed, shares = mixup(x, y, 3, alpha=1.0, generator=generator(seed))
    weight, order = pull_apart(x, mixed)
    assert sorted(order) == list(range(8))
    expected = np.zeros((8, 3))
    for place, other in enumerate(order):
        expected[place, y[place]] += weight
        expected[place, y[other]] += 1 - weight
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_the_loss_is_the_mixture_of_both_losses_also_with_label_smoothing() -> None:
    x, y, logits = torch.eye(6, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0]), torch.randn(6, 3).double()
    mixed, shares = mixup(x, y, 3, alpha=1.0, generator=generator(1))
    weight, order = pull_apart(x, mixed)
    for smoothing in (0.0, 0.1):
        losses = [F.cross_entropy(logits, labels, label_smoothing=smoothing) for labels in (y, y[order])]
        expected = weight * losses[0] + (1 - weight) * losses[1]
        torch.testing.assert_close(F.cross_entropy(logits, shares, label_smoothing=smoothing), expected)


def test_the_weight_is_drawn_from_beta() -> None:
    """Mean 1/2 and variance 1/(4(2α + 1)), and at α = .2 mostly near 0 or 1."""
    draw, weights = generator(0), []
    for _ in range(2000):
        _, shares = mixup(torch.zeros(2, 1), torch.tensor([0, 1]), 2, 0.2, draw)
        weights.append(shares[0, 0].item())
    swapped = np.array(weights)[np.array(weights) < 1]  # the other half of the permutations mix nothing
    assert swapped.mean() == pytest.approx(0.5, abs=0.05)
    assert swapped.var() == pytest.approx(1 / (4 * 1.4), abs=0.02)


def test_the_draw_is_the_generator_s_alone_or_torch_s() -> None:
    x, y = torch.randn(5, 2), torch.tensor([0, 1, 0, 1, 0])
    first = mixup(x, y, 2, generator=generator(3))
    torch.manual_seed(3)
    second = mixup(x, y, 2)
    third = mixup(x, y, 2)
    assert all(map(torch.equal, first, second))
    assert not torch.equal(second[0], third[0])


def test_half_precision_inputs_keep_it_and_targets_are_float32() -> None:
    mixed, shares = mixup(torch.ones(3, 2, dtype=torch.bfloat16), torch.tensor([0, 1, 1]), 2)
    assert (mixed.dtype, shares.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(mixed, torch.ones(3, 2, dtype=torch.bfloat16))


def test_an_alpha_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"alpha is 0\.0; .* above 0"):
        mixup(torch.zeros(2, 1), torch.tensor([0, 1]), 2, alpha=0.0)
