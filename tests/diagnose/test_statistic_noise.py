"""Statistic noise: its distribution, the network it makes, by the formula in float64, and a network left as it was."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.diagnose import disturbed, noise_curve, noise_level
from calibrate.errors import UsageError
from calibrate.surgery import Site, find_sites, keeping_statistics, weigh_examples_
from tests.builders.networks import Mixed, Tied, convolutional, half_frozen, warmed_up


def sites_of(model: nn.Module) -> tuple[Site, ...]:
    return keeping_statistics(find_sites(model))


def weighing(alpha: float = 0.2) -> nn.Module:
    model = warmed_up(convolutional())
    return weigh_examples_(model, find_sites(model), alpha)


def without_batch_statistics() -> nn.Module:
    model = Mixed()
    model.batch_only = nn.Identity()
    return model


def inputs(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(3)).to(dtype)


def logits(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(x)


def ratios(sites: tuple[Site, ...], delta: float, **options: object) -> dict[str, tuple[Tensor, Tensor]]:
    """δ and δ′ of each site, read off its buffers."""
    own = {site: (site.module.running_mean.double(), site.module.running_var.double()) for site in sites}
    with disturbed(sites, delta, **{"seed": 0, "repetition": 0, **options}):
        now = {site: (site.module.running_mean.double(), site.module.running_var.double()) for site in sites}
    return {site.name: tuple(new / old - 1 for new, old in zip(now[site], own[site], strict=True)) for site in sites}


def wide(channels: int) -> tuple[Site, ...]:
    return find_sites(nn.Sequential(warmed_up(nn.BatchNorm1d(channels).double())))


def by_the_formula(model: nn.Module, noise: dict[str, tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """The network in float64, whose disturbed layers put out γ(x − rm(1 + δ))/√(rv(1 + δ′) + eps) + β."""
    copied = copy.deepcopy(model).double()
    for site in sites_of(copied):
        layer, (mean, variance) = site.module, noise[site.name]

        def normalised(
            layer: nn.Module, x: tuple[Tensor], _: Tensor, mean: Tensor = mean, variance: Tensor = variance
        ) -> Tensor:
            m, v = layer.running_mean * (1 + mean), layer.running_var * (1 + variance)
            shape = (1, -1, *(1,) * (x[0].dim() - 2))
            scaled = (x[0] - m.view(shape)) / (v.view(shape) + layer.eps).sqrt()
            return scaled * layer.weight.view(shape) + layer.bias.view(shape)

        layer.register_forward_hook(normalised)
    return logits(copied, x.double())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("build", [convolutional, Tied, half_frozen, without_batch_statistics])
def test_is_the_network_of_the_formula(build: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    model = warmed_up(build()).to(dtype)
    sites, x = sites_of(model), inputs(dtype)
    noise = ratios(sites_of(copy.deepcopy(model).double()), 0.5)
    with disturbed(sites, 0.5, seed=0, repetition=0):
        found = logits(model, x)
    expected = by_the_formula(model, noise, x)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-2}[dtype]
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    assert (logits(model, x).double() - expected).abs().max() > 0.05


def test_layers_that_weigh_examples_are_disturbed_in_what_they_weigh_against() -> None:
    model = weighing()
    edited = copy.deepcopy(model)
    for name, (mean, variance) in ratios(sites_of(edited), 0.4).items():
        layer = edited.get_submodule(name)
        layer.running_mean.mul_(1 + mean)
        layer.running_var.mul_(1 + variance)
    with disturbed(sites_of(model), 0.4, seed=0, repetition=0):
        torch.testing.assert_close(logits(model, inputs()), logits(edited, inputs()))


@pytest.mark.parametrize("delta", [0.0, 1e-9])
@pytest.mark.parametrize("build", [lambda: warmed_up(convolutional()), lambda: warmed_up(Tied()), weighing])
def test_without_noise_to_speak_of_the_logits_are_the_same_bits(build: Callable[[], nn.Module], delta: float) -> None:
    model = build()
    plain = logits(model, inputs())
    with disturbed(sites_of(model), delta, seed=0, repetition=0):
        assert torch.equal(logits(model, inputs()), plain)


def test_noise_is_even_within_delta_and_independent() -> None:
    n, delta = 20_000, 0.3
    draws = [
        draw for options in ({}, {"seed": 1}, {"repetition": 1}) for draw in ratios(wide(n), delta, **options)["0"]
    ]
    for draw in draws:
        assert draw.abs().max() <= delta * (1 + 1e-12)
        assert abs(float(draw.mean())) < 4 * delta / math.sqrt(3 * n)
        assert float(draw.var()) == pytest.approx(delta**2 / 3, rel=0.03)
        assert float(draw.kthvalue(n // 4).values) == pytest.approx(-delta / 2, rel=0.05)
    between = np.corrcoef(torch.stack(draws).numpy()) - np.eye(len(draws))
    assert np.abs(between).max() < 4 / math.sqrt(n)


def test_every_delta_scales_the_same_draw() -> None:
    one, other = (ratios(wide(50), delta)["0"] for delta in (0.1, 0.9))
    for small, large in zip(one, other, strict=True):
        torch.testing.assert_close(large, 9 * small)


def test_a_draw_depends_on_the_layer_s_name_and_not_on_which_others_are_disturbed() -> None:
    sites = sites_of(warmed_up(without_batch_statistics()).double())
    together = ratios(sites, 0.5)
    assert len({float(mean[0]) for mean, _ in together.values()}) == len(sites) > 2
    for chosen in (sites[::-1], sites[1:2]):
        for name, noise in ratios(chosen, 0.5).items():
            assert all(map(torch.equal, noise, together[name]))


def test_a_layer_may_share_one_draw() -> None:
    for mean, variance in ratios(sites_of(warmed_up(Tied()).double()), 0.5, granularity="layer").values():
        for noise in (mean, variance):
            torch.testing.assert_close(noise, noise[:1].expand(4), rtol=1e-12, atol=0)
        assert abs(float(mean[0] - variance[0])) > 1e-3


def test_one_factor_for_a_variance_scales_the_logits_of_a_homogeneous_network() -> None:
    """With rm = β = eps = 0, ReLU and a linear layer without bias, noise shared by the layer changes no prediction."""
    norm = warmed_up(nn.BatchNorm2d(4, eps=0.0))
    model = nn.Sequential(norm, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3, bias=False)).double()
    norm.running_mean.zero_()
    nn.init.zeros_(norm.bias)
    x = inputs(torch.float64).expand(-1, 4, -1, -1)
    plain, sites = logits(model, x), find_sites(model)
    factor = 1 + ratios(sites, 0.9, granularity="layer")["0"][1][0]
    with disturbed(sites, 0.9, seed=0, repetition=0, granularity="layer"):
        torch.testing.assert_close(logits(model, x), plain / factor.sqrt())
    labels = torch.arange(16) % 3
    curve = noise_curve(
        lambda _: logits(model, x), labels, sites, deltas=(0.5, 0.9), repetitions=5, granularity="layer"
    )
    assert [(level.top1, level.top1_sd) for level in curve.levels] == [
        (pytest.approx((plain.argmax(1) == labels).double().mean()), 0.0)
    ] * 2
    assert all(level.nll_sd > 0 for level in curve.levels)


def test_instance_normalisation_behind_a_layer_blocks_its_noise() -> None:
    """Noise is an affine of each channel, which statistics of the example itself remove (§5.2.1)."""
    model = nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.InstanceNorm2d(4, eps=0.0), nn.Flatten()).double()
    warmed_up(model)
    x = inputs(torch.float64).expand(-1, 4, -1, -1)
    plain = logits(model, x)
    with disturbed(find_sites(model), 0.9, seed=0, repetition=0):
        torch.testing.assert_close(logits(model, x), plain)


def snapshot(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    buffers = dict(model.named_buffers(remove_duplicate=False))
    return buffers, {name: buffer.clone() for name, buffer in buffers.items()}


def assert_restored(model: nn.Module, before: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    now = dict(model.named_buffers(remove_duplicate=False))
    assert now.keys() == before[0].keys()
    assert all(now[name] is buffer for name, buffer in before[0].items())
    assert all(torch.equal(now[name], buffer) for name, buffer in before[1].items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("build", [convolutional, Tied, half_frozen, lambda: weighing(0.0), weighing])
def test_every_exit_gives_the_statistics_back(build: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    model = build().to(dtype)
    before, labels = snapshot(model), torch.zeros(16, dtype=torch.int64)
    noise_curve(lambda _: logits(model, inputs(dtype)), labels, sites_of(model), deltas=(0.1, 0.5), repetitions=5)
    assert_restored(model, before)
    with pytest.raises(RuntimeError):
        noise_curve(
            lambda _: logits(model, torch.zeros(2, 7, 8, 8)), labels, sites_of(model), deltas=(0.5,), repetitions=5
        )
    assert_restored(model, before)
    with pytest.raises(KeyboardInterrupt), disturbed(sites_of(model), 0.5, seed=0, repetition=0):
        raise KeyboardInterrupt
    assert_restored(model, before)


def test_a_layer_that_cannot_be_disturbed_leaves_none_disturbed() -> None:
    model = warmed_up(nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3)))
    model[1].running_var = torch.ones(7)
    before = snapshot(model)
    with pytest.raises(RuntimeError), disturbed(find_sites(model), 0.5, seed=0, repetition=0):
        pass
    assert_restored(model, before)


@pytest.mark.parametrize("delta", [-0.1, 1.0, math.nan])
def test_a_variance_must_stay_positive(delta: float) -> None:
    with pytest.raises(UsageError, match="0 ≤ delta < 1"), disturbed((), delta, seed=0, repetition=0):
        pass


def test_a_level_is_the_mean_and_standard_deviation_over_the_draws() -> None:
    generator = np.random.default_rng(0)
    draws, labels = generator.normal(size=(5, 30, 4)), generator.integers(0, 4, 30)
    top1 = [(draw.argmax(1) == labels).mean() for draw in draws]
    nll = [(np.log(np.exp(draw).sum(1)) - draw[np.arange(30), labels]).mean() for draw in draws]
    level = noise_level(0.2, list(map(torch.from_numpy, draws)), torch.from_numpy(labels))
    assert (level.delta, level.broken) == (0.2, 0)
    assert (level.top1, level.nll) == pytest.approx((np.mean(top1), np.mean(nll)))
    assert (level.top1_sd, level.nll_sd) == pytest.approx((np.std(top1, ddof=1), np.std(nll, ddof=1)))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_an_example_without_finite_logits_is_answered_wrong_and_has_no_cross_entropy(value: float) -> None:
    labels = torch.tensor([0, 1, 2, 0])
    right = 10 * torch.eye(3)[labels]
    broken = right.clone()
    broken[0, 0] = value
    level = noise_level(0.9, [right, broken, broken * math.nan], labels)
    assert (level.nll, level.nll_sd, level.broken) == (None, None, 2)
    assert level.top1 == pytest.approx((1 + 0.75 + 0) / 3)
