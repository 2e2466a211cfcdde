"""Estimation shift: the definition, by numpy in float64; what chance makes; and a network left as it was."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.diagnose import estimation_shift, rank_correlation
from calibrate.stats import IterableBatches
from calibrate.steps import LayerShift
from calibrate.surgery import find_sites, keeping_statistics
from tests.builders.networks import Mixed, Tied, convolutional, warmed_up


def shifts(model: nn.Module, x: Tensor, size: int) -> dict[str, LayerShift]:
    found = estimation_shift(model, IterableBatches(x.split(size), None), keeping_statistics(find_sites(model)))
    return {shift.name: shift for shift in found}


def inputs(model: nn.Module, x: Tensor) -> dict[str, list[np.ndarray]]:
    """What each layer is given for all examples at once: (positions, C) for every call."""
    seen: dict[str, list[np.ndarray]] = {}
    copied = copy.deepcopy(model).eval()
    for site in find_sites(copied):

        def watch(_: nn.Module, arguments: tuple[Tensor, ...], name: str = site.name) -> None:
            seen.setdefault(name, []).append(arguments[0].movedim(1, -1).flatten(0, -2).double().numpy())

        site.module.register_forward_pre_hook(watch)
    with torch.no_grad():
        copied(x)
    return seen


@pytest.mark.parametrize("size", [32, 5, 1])
@pytest.mark.parametrize("build", [convolutional, Tied, Mixed])
def test_is_the_definition_over_all_examples(build: Callable[[], nn.Module], size: int) -> None:
    model = warmed_up(build()).double().train()
    if isinstance(model, Mixed):
        model.batch_only = nn.Identity()
    x = torch.randn(32, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = shifts(model, x, size)
    seen = inputs(model, x)
    keeping = {site.name for site in keeping_statistics(find_sites(model))}
    assert list(found) == [name for name in seen if name in keeping]
    for name, shift in found.items():
        layer = model.get_submodule(name)
        rm, rv = layer.running_mean.numpy(), layer.running_var.numpy()
        values = np.concatenate(seen[name])
        mean, variance = values.mean(0), values.var(0)
        unit = np.sqrt(variance + layer.eps)
        expected = (
            np.linalg.norm(rm - mean),
            np.linalg.norm(np.sqrt(rv) - np.sqrt(variance)),
            np.sqrt((((rm - mean) / unit) ** 2).mean()),
            np.sqrt((((np.sqrt(rv) - np.sqrt(variance)) / unit) ** 2).mean()),
        )
        numbers = (shift.mean, shift.deviation, shift.mean_in_deviations, shift.deviation_in_deviations)
        assert numbers == pytest.approx(expected, rel=1e-9)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_statistics_of_the_data_themselves_have_no_shift() -> None:
    x = torch.randn(64, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 100
    layer = nn.BatchNorm2d(3).double()
    layer.running_mean.copy_(x.mean((0, 2, 3)))
    layer.running_var.copy_(x.var((0, 2, 3), correction=0))
    (shift,) = shifts(nn.Sequential(layer), x, 7).values()
    assert max(shift.mean, shift.deviation) < 1e-10


@pytest.mark.parametrize("n", [64, 1024])
def test_chance_is_what_fresh_samples_of_the_same_population_show(n: int) -> None:
    """Over repetitions, the root mean square of both agree: a layer whose statistics are the population's."""
    model = nn.Sequential(nn.BatchNorm1d(500, eps=0.0)).double()
    x = torch.randn(n, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    (shift,) = shifts(model, x.sort(0).values if n == 64 else x, 16).values()
    if n == 64:
        assert shift.mean_by_chance is not None
        assert shift.mean_by_chance < shift.mean_in_deviations, "neighbours of a sorted set are alike"
    else:
        assert shift.mean_by_chance == pytest.approx(shift.mean_in_deviations, rel=0.15)
        assert shift.deviation_by_chance == pytest.approx(shift.deviation_in_deviations, rel=0.15)


def test_one_example_says_nothing_of_chance() -> None:
    (shift,) = shifts(nn.Sequential(nn.BatchNorm2d(1)), torch.randn(1, 1, 3, 3), 1).values()
    assert (shift.mean_by_chance, shift.deviation_by_chance) == (None, None)


def test_an_error_leaves_no_hook_behind() -> None:
    model = convolutional()
    with pytest.raises(RuntimeError):
        shifts(model, torch.randn(2, 7, 8, 8), 2)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_rank_correlation_is_scipy_s() -> None:
    stats = pytest.importorskip("scipy.stats")
    for values in ([3.0, 1.0, 2.0, 2.0, 9.0], [1.0, 2.0, 3.0], [5.0, 4.0, 4.0, 1.0]):
        assert rank_correlation(values) == pytest.approx(stats.spearmanr(range(len(values)), values).statistic)
