"""Layer statistics, against numpy on awkward layers."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.result import LayerStatistics
from calibrate.steps import DEAD_VARIANCE
from calibrate.surgery import find_sites, layer_statistics, look, weigh_examples_
from tests.builders.networks import Mixed, Tied, convolutional, warmed_up


def wide(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().double().numpy()


@pytest.mark.parametrize("build", [convolutional, Tied, Mixed], ids=["original", "tied", "mixed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numbers_are_numpy_s(build: "type[nn.Module]", dtype: torch.dtype) -> None:
    model = warmed_up(build()).to(dtype)
    sites = find_sites(model)
    found = layer_statistics(sites, {})
    assert [item.name for item in found] == [site.name for site in sites]
    for site, item in zip(sites, found, strict=True):
        layer = site.module
        assert item.channels == layer.num_features
        if layer.running_mean is None:
            assert (item.mean_offset, item.variance_median, item.dead) == (None, None, None)
            continue
        rm, rv, gamma, beta = map(wide, (layer.running_mean, layer.running_var, layer.weight, layer.bias))
        assert item.mean_offset == pytest.approx(np.mean(np.abs(rm) / np.sqrt(rv + layer.eps)))
        spread = (item.variance_min, item.variance_median, item.variance_max)
        assert spread == pytest.approx((rv.min(), np.median(rv), rv.max()))
        drift = (item.gamma_mean, item.gamma_drift, item.beta_drift)
        assert drift == pytest.approx((gamma.mean(), np.abs(gamma - 1).mean(), np.abs(beta).mean()))


def one(layer: nn.BatchNorm2d) -> LayerStatistics:
    return layer_statistics(find_sites(nn.Sequential(layer)), {"0": 9})[0]


def test_a_channel_is_dead_below_the_threshold_and_not_at_it() -> None:
    layer = nn.BatchNorm2d(4).double()
    layer.running_var = torch.tensor([0.0, DEAD_VARIANCE / 2, DEAD_VARIANCE, 1.0], dtype=torch.float64)
    assert one(layer).dead == 0.5


def test_what_a_layer_has_not_is_none() -> None:
    item = one(nn.BatchNorm2d(3, affine=False))
    assert (item.gamma_mean, item.gamma_drift, item.beta_drift, item.alpha) == (None,) * 4
    assert (item.positions, item.variance_median) == (9, 1.0)


def test_numbers_that_are_not_finite_are_none_so_that_the_summary_stays_json() -> None:
    layer = nn.BatchNorm2d(3)
    layer.running_mean = torch.tensor([0.0, float("nan"), 1.0])
    layer.running_var = torch.tensor([1.0, float("inf"), 1.0])
    item = one(layer)
    assert item.mean_offset is None
    assert item.variance_max is None
    assert LayerStatistics.model_validate_json(item.model_dump_json()) == item


def test_alpha_is_the_mean_over_channels_and_positions_are_the_fewest_seen() -> None:
    model = warmed_up(Tied())
    weigh_examples_(model, find_sites(model), 0.5)
    layer = find_sites(model)[0].module
    layer.alpha = torch.tensor([0.0, 0.2, 0.4, 0.2])  # type: ignore[assignment]
    seen = look(model, find_sites(model), torch.zeros(2, 1, 6, 5))
    (item,) = layer_statistics(find_sites(model), seen.positions)
    assert item.alpha == pytest.approx(0.2)
    assert item.positions == 30
