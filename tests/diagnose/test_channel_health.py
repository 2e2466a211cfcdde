"""Channel health: counts and histograms by numpy in float64, on awkward networks, which are left as they were."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.diagnose import channel_health, gradient_factor, normalising_by_channel
from calibrate.stats import IterableBatches
from calibrate.steps import DRIFT_BINS, ChannelHealth, LayerHealth
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.networks import Mixed, Tied, convolutional, half_frozen, warmed_up
from tests.builders.states import assert_untouched, snapshot
from tests.builders.watched import by_channel, inputs, noise_images


def probe(model: nn.Module, x: Tensor, size: int = 7) -> dict[str, LayerHealth]:
    found = channel_health(model, IterableBatches(x.split(size), None), normalising_by_channel(find_sites(model)))
    return {layer.name: layer for layer in found}


def sick(model: nn.Module) -> nn.Module:
    """A network whose layers each have a dead channel, a narrow one, a pruned one and ones of large γ and β."""
    for site in find_sites(warmed_up(model)):
        norm = site.module
        with torch.no_grad():
            if norm.running_var is not None:
                norm.running_var[0] = 1e-9
                norm.running_var[1] = 1e-3
            if norm.weight is not None:
                norm.weight[2:4] = torch.tensor([1e-4, 40.0])
                norm.bias[2:4] = torch.tensor([0.1, -7.0])
    return model


@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("build", [convolutional, Tied, Mixed, half_frozen])
def test_is_what_numpy_counts(build: Callable[[], nn.Module], precision: torch.dtype) -> None:
    model = sick(build()).train().to(precision)
    before = snapshot(model)
    x = noise_images().to(precision)
    found = probe(model, x, 16)
    assert_untouched(model, before)
    seen = inputs(model, x.split(16))
    names = {site.name for site in normalising_by_channel(find_sites(model))}
    assert list(found) == [name for name in seen if name in names]
    for name, layer in found.items():
        norm = model.get_submodule(name)
        rm, rv, gamma, beta = (
            getattr(norm, part).detach().double().numpy() for part in ("running_mean", "running_var", "weight", "bias")
        )
        values = by_channel(seen[name])
        far = np.abs((values - rm[:, None]) / np.sqrt(rv + norm.eps)[:, None])
        assert layer.dead == (rv < 1e-6).sum() > 0
        assert layer.silent == (values.var(1) < 1e-6).sum()
        assert layer.pruned == (np.abs(gamma) < 1e-3).sum() == 1
        assert layer.exploding == ((far > 6).mean(1) > 1e-3).sum()
        assert layer.far_out == pytest.approx((far > 6).mean())
        assert layer.furthest == pytest.approx(far.max(), rel=1e-9)
        edges = [*DRIFT_BINS, np.inf]
        assert layer.gamma_drift == tuple(np.histogram(np.abs(gamma - 1), edges)[0])
        assert layer.beta_drift == tuple(np.histogram(np.abs(beta), edges)[0])
        assert layer.gamma_drift[-1] == layer.beta_drift[-1] == 1
        factor = np.abs(gamma) / np.sqrt(rv + norm.eps)
        assert layer.gradient_factor is not None
        assert tuple(layer.gradient_factor.model_dump().values()) == pytest.approx(
            (factor.min(), np.median(factor), factor.mean(), factor.max()), rel=1e-9
        )
    assert any(layer.exploding for layer in found.values())


def test_a_new_layer_on_normal_data_is_well() -> None:
    (layer,) = probe(nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()), torch.randn(40, 3, 5, 5)).values()
    assert (layer.dead, layer.silent, layer.pruned, layer.exploding, layer.far_out) == (0, 0, 0, 0, 0)
    empty = (0,) * (len(DRIFT_BINS) - 1)
    assert layer.gamma_drift == layer.beta_drift == (3, *empty)


def test_a_layer_without_scale_and_shift_has_none_to_describe() -> None:
    (layer,) = probe(nn.Sequential(nn.BatchNorm1d(3, affine=False)), torch.randn(9, 3)).values()
    assert (layer.pruned, layer.gamma_drift, layer.beta_drift) == (None, None, None)
    assert layer.gradient_factor is not None
    assert layer.gradient_factor.median == pytest.approx(1, abs=1e-5)


def test_a_silent_channel_is_found_though_its_running_variance_is_large() -> None:
    x = torch.randn(9, 3)
    x[:, 1] = 5.0
    (layer,) = probe(nn.Sequential(nn.BatchNorm1d(3)), x).values()
    assert (layer.dead, layer.silent) == (0, 1)


def test_a_channel_explodes_when_more_than_one_in_a_thousand_values_is_far_out() -> None:
    x = torch.zeros(2000, 3)
    x[:2, 0] = x[:3, 1] = -7.0
    (layer,) = probe(nn.Sequential(nn.BatchNorm1d(3)), x, 500).values()
    assert (layer.exploding, layer.far_out) == (1, pytest.approx(5 / 6000))


def test_examples_that_weigh_in_explode_less() -> None:
    plain = sick(convolutional()).double()
    alone = probe(plain, noise_images())
    weighed = probe(weigh_examples_(plain, find_sites(plain), 0.3), noise_images())
    assert weighed["1"].far_out < alone["1"].far_out


def test_what_is_no_number_is_far_out_and_nothing_of_it_reaches_json() -> None:
    model, x = convolutional(), noise_images(8).float()
    x[3] = float("inf")
    model[1].weight.data[0] = float("nan")
    layers = tuple(probe(model, x).values())
    assert [(layer.furthest, layer.far_out) for layer in layers] == [(None, 1 / 8), (None, 1.0)]
    assert [layer.exploding for layer in layers] == [4, 8]
    assert layers[0].gradient_factor is None
    result = ChannelHealth(tuned=False, images=8, layers=layers, left_out=())
    assert ChannelHealth.model_validate_json(result.model_dump_json()) == result


def test_an_error_leaves_no_hook_behind() -> None:
    model = warmed_up(convolutional()).train()
    before = snapshot(model)
    with pytest.raises(Exception, match="cannot take inputs"):
        probe(model, torch.randn(2, 7, 8, 8))
    assert_untouched(model, before)


def test_the_gradient_factor_is_the_gradient_of_the_layer_in_inference() -> None:
    layer = warmed_up(nn.BatchNorm1d(5)).double()
    x = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(gradient_factor(layer), x.grad[0])
