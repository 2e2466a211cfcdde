"""LAME: the updates in numpy from the paper's formulas, its laws, and the network it leaves alone."""

import copy
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.adapt import Adapted
from calibrate.adapt.lame import LAMEAdapter, affinity, laplacian_adjusted
from calibrate.errors import ModelError
from calibrate.steps import LAME
from tests.builders.networks import LogSoftmax, Mixed, Tied, convolutional, warmed_up

Array = NDArray[np.float64]


def reference_affinity(features: Array, neighbours: int) -> Array:
    unit = [row / np.sqrt((row**2).sum()) for row in features]
    distance = np.array([[np.sqrt(((a - b) ** 2).sum()) for b in unit] for a in unit])
    sigma = np.mean([sorted(row)[min(neighbours, len(row)) - 1] for row in distance])
    return np.exp(-(distance**2) / (2 * sigma**2))


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def reference(logits: Array, features: Array, neighbours: int, iterations: int) -> Array:
    """Boudiaf et al. 2022: z ∝ p·exp(Σ w z), example by example and class by class."""
    p = softmax(logits)
    w, z = reference_affinity(features, neighbours), p
    for _ in range(iterations):
        updated = np.empty_like(z)
        for i in range(len(z)):
            for k in range(z.shape[1]):
                updated[i, k] = p[i, k] * np.exp(sum(w[i, j] * z[j, k] for j in range(len(z))))
        z = updated / updated.sum(1, keepdims=True)
    return z


def energy(z: Array, p: Array, w: Array) -> float:
    return float((z * (np.log(z) - np.log(p))).sum() - (w * (z @ z.T)).sum() / 2)


def draw(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (n, 4) and features (n, 3)."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n, 4), (n, 3))
    logits, features = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return logits * 2, features


@pytest.mark.parametrize("n", [2, 3, 9])
@pytest.mark.parametrize(("neighbours", "iterations"), [(2, 1), (5, 1), (5, 3)])
def test_follows_the_reference_update_by_update(n: int, neighbours: int, iterations: int) -> None:
    logits, features = draw(n)
    found = laplacian_adjusted(logits, features, neighbours, iterations).exp().numpy()
    np.testing.assert_allclose(found, reference(logits.numpy(), features.numpy(), neighbours, iterations), rtol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_every_update_lowers_the_energy_until_a_fixed_point(seed: int) -> None:
    logits, features = draw(12, seed)
    p, w = softmax(logits.numpy()), reference_affinity(features.numpy(), 4)
    assert np.linalg.eigvalsh(w).min() > -1e-12
    np.testing.assert_allclose(affinity(features, 4).numpy(), w, rtol=1e-10)
    found = [laplacian_adjusted(logits, features, 4, count).exp().numpy() for count in range(1, 8)]
    energies = [energy(z, p, w) for z in (p, *found)]
    assert all(after <= before + 1e-12 for before, after in pairwise(energies))
    last = laplacian_adjusted(logits, features, 4, 10_000).exp().numpy()
    np.testing.assert_allclose(softmax(np.log(p) + w @ last), last, atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_network_s_step_is_the_reference_on_its_penultimate_features(n: int) -> None:
    network = warmed_up(convolutional()).double()
    assert isinstance(network, nn.Sequential)
    x = torch.randn(n, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        features = network[:-1](x)
        logits = network[-1](features)
    expected = reference(logits.numpy(), features.numpy(), 3, 2) if n > 1 else softmax(logits.numpy())
    answers = Adapted(network, LAME(neighbours=3, iterations=2)).step(x)
    np.testing.assert_allclose(answers.softmax(1).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(answers.exp().numpy(), expected, rtol=1e-9)


def test_order_does_not_matter() -> None:
    logits, features = draw(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    shuffled = laplacian_adjusted(logits[order], features[order], 5, 100)
    torch.testing.assert_close(shuffled, laplacian_adjusted(logits, features, 5, 100)[order], rtol=1e-9, atol=1e-9)


def test_the_length_of_features_does_not_matter_and_each_setting_does() -> None:
    logits, features = draw(9)
    found = laplacian_adjusted(logits, features, 5, 100)
    torch.testing.assert_close(laplacian_adjusted(logits, features * 7, 5, 100), found)
    assert not torch.allclose(laplacian_adjusted(logits, features, 2, 100), found)
    assert not torch.allclose(laplacian_adjusted(logits, features, 5, 2), found)


def test_copies_of_one_image_are_finite_and_agree() -> None:
    """Their bandwidth is 0; and features that are all 0 have no direction."""
    logits, _ = draw(4)
    for features in (torch.ones(4, 3), torch.zeros(4, 3)):
        found = laplacian_adjusted(logits, features, 5, 100)
        assert found.isfinite().all()
        assert (found.argmax(1) == softmax(logits.numpy()).sum(0).argmax()).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_keeps_the_precision_of_the_logits(dtype: torch.dtype) -> None:
    logits, features = (values.to(dtype) for values in draw(6))
    found = laplacian_adjusted(logits, features, 5, 100)
    assert found.dtype == dtype
    expected = laplacian_adjusted(logits.double(), features.double(), 5, 100)
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("build", [convolutional, Mixed])
def test_the_network_and_its_hooks_stay(build: Callable[[], nn.Module]) -> None:
    network = warmed_up(build())
    state = copy.deepcopy(network.state_dict())
    adapter = LAMEAdapter(LAME(), network)
    first = adapter.step(x := torch.randn(6, 1, 8, 8))
    assert torch.equal(adapter.step(x), first)
    with pytest.raises(ModelError):
        adapter.step(torch.randn(6, 2, 8, 8))
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("build", [LogSoftmax, Tied])
def test_a_network_without_a_final_linear_layer_says_so(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(ModelError, match="no single linear layer puts out this network's logits"):
        Adapted(build(), LAME()).step(torch.randn(4, 1, 8, 8))


def test_has_no_sites() -> None:
    with pytest.raises(ValueError, match="sites"):
        LAME.model_validate({"kind": "lame", "sites": ["*"]})
