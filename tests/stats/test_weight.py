"""Re-estimation with a weight λ of the stored statistics, against a float64 network that mixes layer by layer."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate.errors import UsageError
from calibrate.stats import batches_that_fit, reestimate, reestimate_
from calibrate.surgery import find_sites
from tests.builders.batches import batches, inputs
from tests.builders.networks import Mixed, Residual, Tied, convolutional, frozen, vectors, warmed_up
from tests.builders.repeating import Siamese, TwoDepths
from tests.builders.states import assert_same_bits

Build = Callable[[], nn.Module]
UNSHARED = pytest.mark.parametrize("build", [convolutional, Residual, Mixed, vectors, frozen], ids=lambda b: b.__name__)


def build_double(build: Build) -> nn.Module:
    model = warmed_up(build()).double()
    if build is Mixed:
        model.batch_only = nn.Identity()  # its layer without statistics sees other examples in each split
    return model


def layers_of(model: nn.Module) -> dict[str, Any]:
    return {site.name: site.module for site in find_sites(model) if not site.obstacle}


def mixed_reference(model: nn.Module, x: Tensor, weights: Mapping[str, float]) -> nn.Module:
    """Each layer, when all examples come to it together, takes λ of E[x] and E[x²] from what it had before."""
    model = copy.deepcopy(model).eval()
    names = {layer: name for name, layer in layers_of(model).items()}

    def hook(layer: Any, arguments: tuple[Tensor, ...]) -> None:
        values, weight = arguments[0].transpose(0, 1).flatten(1), weights[names[layer]]
        mean = weight * layer.running_mean + (1 - weight) * values.mean(1)
        square = weight * (layer.running_var + layer.running_mean**2) + (1 - weight) * (values**2).mean(1)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(square - mean**2)

    handles = [layer.register_forward_pre_hook(hook) for layer in names]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return model


@UNSHARED
@pytest.mark.parametrize("ends", [(0.8, 0.8), (0.3, 0.3), (1.0, 0.5), (0.1, 0.9)])
def test_every_layer_sees_the_mixed_layers_before_it(build: Build, ends: tuple[float, float]) -> None:
    model, x = build_double(build), inputs(44)
    names = [*layers_of(model)]
    share = max(len(names) - 1, 1)
    weights = {name: ends[0] + (ends[1] - ends[0]) * place / share for place, name in enumerate(names)}
    expected, found = mixed_reference(model, x, weights), reestimate(model, batches(x, 11), weight=weights)
    for name, layer in layers_of(expected).items():
        mine = layers_of(found)[name]
        torch.testing.assert_close(mine.running_mean, layer.running_mean, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(mine.running_var, layer.running_var, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("build", [convolutional, Tied, Siamese, vectors, frozen], ids=lambda b: b.__name__)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_at_1_nothing_changes_and_at_0_it_is_plain_re_estimation(build: Build, dtype: torch.dtype) -> None:
    model, parts = warmed_up(build()).to(dtype), batches(inputs(30).to(dtype), 10)
    assert_same_bits(reestimate(model, parts, weight=1.0), model)
    assert_same_bits(reestimate(model, parts, weight=0.0), reestimate(model, parts))


def test_a_weight_is_a_prior_of_as_many_images() -> None:
    model, parts = warmed_up(Residual()).double(), batches(inputs(30), 10)
    by_weight, by_prior = reestimate(model, parts, weight=0.8), reestimate(model, parts, prior=120)
    for mine, other in zip(by_weight.buffers(), by_prior.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)
    with pytest.raises(UsageError, match=r"prior is 8 and weight 0.5"):
        reestimate(model, parts, weight=0.5, prior=8)


@pytest.mark.parametrize("build", [Tied, TwoDepths], ids=lambda b: b.__name__)
def test_layers_called_twice_store_the_mix_of_what_all_their_calls_see(build: Build) -> None:
    model, x = warmed_up(build()).double(), inputs(40)
    tuned = reestimate(model, batches(x, 8), weight=0.6)
    old, new = layers_of(model)["norm"], layers_of(tuned)["norm"]
    seen: list[Tensor] = []
    handle = new.register_forward_pre_hook(lambda _, given: seen.append(given[0].transpose(0, 1).flatten(1)))
    with torch.no_grad():
        tuned.eval()(x)
    handle.remove()
    values = torch.cat(seen, 1)
    mean = 0.6 * old.running_mean + 0.4 * values.mean(1)
    square = 0.6 * (old.running_var + old.running_mean**2) + 0.4 * (values**2).mean(1)
    assert (new.running_mean - mean).abs().max() < 1e-3 * square.sqrt().max()
    torch.testing.assert_close(new.running_var, square - mean**2, rtol=1e-3, atol=1e-6)


def test_broken_statistics_count_nothing() -> None:
    model, parts = warmed_up(convolutional()).double(), batches(inputs(30), 10)
    model[1].running_var[0] = torch.nan
    tuned = reestimate(model, parts, weight=0.9)
    assert torch.equal(tuned[1].running_var[0], reestimate(model, parts)[1].running_var[0])
    assert not torch.equal(tuned[1].running_var[1], reestimate(model, parts)[1].running_var[1])


@UNSHARED
@pytest.mark.parametrize("memory", [None, 0, 10 << 20], ids=["all", "none", "some"])
def test_the_outputs_are_those_of_the_network_with_its_new_statistics(build: Build, memory: int | None) -> None:
    model, x = build_double(build), inputs(44)
    seen: dict[int, Tensor] = {}
    reestimate_(model, batches(x, 11), weight=0.4, memory=memory, see=seen.__setitem__)
    assert sorted(seen) == [0, 11, 22, 33]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([seen[first] for first in sorted(seen)]), model.eval()(x))


def test_batches_that_fit_share_the_memory() -> None:
    model = warmed_up(convolutional())
    layers = [*layers_of(model).values()]
    x = torch.zeros(4, 1, 8, 8)
    fitting, called = batches_that_fit(1 << 30, model, layers, x)
    assert [*called] == layers
    assert batches_that_fit(1 << 29, model, layers, x)[0] == fitting // 2
    assert fitting < (1 << 30) // (8 << 20)  # each also has a stack of 8 MiB
