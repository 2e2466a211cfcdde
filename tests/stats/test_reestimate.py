"""Re-estimation against a float64 network whose one training batch is the whole set, on awkward networks and data."""

import copy
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from calibrate.nn import ExampleWeighed
from calibrate.stats import pooled_inputs, reestimate, reestimate_
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.batches import batches, inputs
from tests.builders.networks import Mixed, Residual, Tied, convolutional, frozen, vectors, warmed_up
from tests.builders.repeating import Interleaved
from tests.builders.states import assert_same_bits

Build = Callable[[], nn.Module]


def reference(model: nn.Module, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and ÷n variance of what goes into each layer of ``model`` in float64, ``x`` its only training batch."""
    model = copy.deepcopy(model).double().eval()
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    names = {site.module: site.name for site in find_sites(model) if not site.obstacle}

    def moments(values: Tensor) -> tuple[Tensor, Tensor]:
        mean = values.mean(1)
        return mean, ((values - mean[:, None]) ** 2).mean(1)

    def hook(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        mean, variance = seen[names[layer]] = moments(arguments[0].transpose(0, 1).flatten(1))
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    for layer in names:
        layer.register_forward_pre_hook(hook)
    with torch.no_grad():
        model(x.double())
    return seen


def statistics(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        site.name: (site.module.running_mean, site.module.running_var)
        for site in find_sites(model)
        if getattr(site.module, "running_mean", None) is not None
    }


def assert_close(model: nn.Module, expected: dict[str, tuple[Tensor, Tensor]], tolerance: float) -> None:
    """Means to ``tolerance`` of a standard deviation, variances relative."""
    found = statistics(model)
    for name, (mean, variance) in expected.items():
        rm, rv = (moment.double() for moment in found[name])
        assert ((rm - mean).abs() <= tolerance * (variance.sqrt() + 1e-12)).all(), name
        assert ((rv - variance).abs() <= tolerance * (variance + 1e-12)).all(), name


AWKWARD = pytest.mark.parametrize(
    "build", [convolutional, Residual, Tied, Mixed, vectors, frozen], ids=lambda b: b.__name__
)
UNSHARED = pytest.mark.parametrize("build", [convolutional, Residual, Mixed, vectors, frozen], ids=lambda b: b.__name__)


@UNSHARED
@pytest.mark.parametrize("size", [45, 11, 4])
def test_in_order_is_the_whole_set_as_one_batch(build: Build, size: int) -> None:
    """Of layers that are called once in a pass; for others see ``test_repeated.py``."""
    if build is Mixed and size == 4:
        size = 5  # its layer without statistics cannot take a batch of one example, and sees other ones in each split
    model, x = warmed_up(build()).double(), inputs(44 if build is Mixed else 45)
    if build is Mixed:
        model.batch_only = nn.Identity()
    assert_close(reestimate(model, batches(x, size)), reference(model, x), 1e-10)


@AWKWARD
@pytest.mark.parametrize("order", ["in_order", "batch"])
def test_the_other_layers_and_the_caller_s_network_are_left_alone(build: Build, order: str) -> None:
    model = warmed_up(build()).train()
    if build is Mixed:
        model.batch_only.eval()
    before = copy.deepcopy(model)
    tuned = reestimate(model, [(x, "label") for x in batches(inputs().float(), 15)], order=order)
    assert_same_bits(model, before)
    assert [m.training for m in tuned.modules()] == [m.training for m in before.modules()]
    assert not any(m._forward_pre_hooks for m in tuned.modules())
    came = before.state_dict()
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, came[name])}
    assert changed
    assert {name.rsplit(".", 1)[1] for name in changed} == {"running_mean", "running_var"}
    if build is Mixed:
        assert not any(name.startswith("act.") for name in changed)


def test_float32_in_its_own_arithmetic_is_exact() -> None:
    """Given the inputs that the finished network gives its layers, each buffer is the rounded float64 moment."""
    model = warmed_up(Residual())
    parts = batches(inputs().float())
    tuned = reestimate(model, parts)
    with pooled_inputs([site.module for site in find_sites(tuned)]) as seen, torch.inference_mode():
        for part in parts:
            tuned(part)
    for layer, moments in seen.items():
        torch.testing.assert_close(layer.running_mean, moments.mean.float(), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.running_var, moments.variance.float(), rtol=1e-6, atol=0)
    assert_close(tuned, reference(model, inputs()), 1e-4)


def test_a_mean_of_a_thousand_deviations_keeps_its_variance() -> None:
    x = inputs()
    shifted = (x - x.mean()) / x.std() + 1000
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2))
    exact = shifted.float().double().var(correction=0)
    assert reestimate(model, batches(shifted.float()))[0].running_var.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize("build", [convolutional, Residual, Tied, Interleaved])
def test_memory_decides_the_cost_and_not_a_bit_of_the_result(build: Build) -> None:
    model, passes = warmed_up(build()), []
    parts = batches(inputs().float())
    results = []
    for memory in (0, 2 * (8 << 20) + 500_000, 1 << 30):
        count = 0

        def counted(module: nn.Module, arguments: object) -> None:
            nonlocal count
            count += 1

        probe = copy.deepcopy(model)
        next(probe.children()).register_forward_pre_hook(counted)
        found = reestimate_(probe, parts, memory=memory)
        passes.append(count)
        results.append(probe)
    rounds = max((repeated.rounds for repeated in found.repeated.values()), default=0)
    if build is Interleaved:  # 11 calls, 2 of its layers between the repeated ones, 2 behind
        assert passes[0] == 1 + 11 * len(parts) + rounds * (1 + 3 * len(parts)) + 1 + 3 * len(parts)
        assert passes[2] == 1 + len(parts) + (rounds + 1) * (1 + len(parts))
    else:
        calls = 1 + sum(1 for _ in find_sites(model)) + (build is Tied)
        stops = [1 + calls * len(parts), 1 + 2 + calls * (len(parts) - 2), 1 + len(parts)]
        assert passes == [cost + rounds * len(parts) for cost in stops]
    assert_same_bits(results[0], results[1])
    assert_same_bits(results[0], results[2])


def test_a_system_without_threads_costs_passes_and_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, parts = warmed_up(Residual()), batches(inputs().float())
    whole = reestimate(model, parts)
    start, begun = threading.Thread.start, []

    def refuses_the_third(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuses_the_third)
    assert_same_bits(reestimate(model, parts), whole)
    assert len(begun) == 2


def test_half_precision_keeps_its_type_and_comes_close() -> None:
    model, x = warmed_up(convolutional()), inputs()
    tuned = reestimate(model.bfloat16(), batches(x.bfloat16()))
    assert tuned[1].running_var.dtype == torch.bfloat16
    assert_close(tuned, reference(model, x), 0.1)


def test_an_example_s_place_counts_and_not_its_batch() -> None:
    """The first layer sees the same values in every split, so its statistics have the same bits."""
    model, x = warmed_up(vectors()), inputs().float()
    one, other = (reestimate(model, batches(x, size))[1] for size in (45, 7))
    assert torch.equal(one.running_mean, other.running_mean)
    assert torch.equal(one.running_var, other.running_var)


def test_batch_normalises_by_the_batch_and_pools_over_all() -> None:
    """Against in_order on each batch alone, whose statistics are what the layers before normalise by."""
    model, x = warmed_up(convolutional()).double(), inputs()
    parts = batches(x, 15)
    tuned = reestimate(model, parts, order="batch")
    with torch.no_grad():
        after = [reestimate(model, [part])[:4](part) for part in parts]
    seen = torch.cat(after).transpose(0, 1).flatten(1)
    torch.testing.assert_close(tuned[4].running_mean, seen.mean(1), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(tuned[4].running_var, seen.var(1, correction=0), rtol=1e-10, atol=0)
    assert not torch.allclose(tuned[4].running_var, reestimate(model, parts)[4].running_var, rtol=1e-3)


@pytest.mark.parametrize("variant", ["moments", "published"])
def test_the_prior_is_a_union_or_as_published(variant: str) -> None:
    """As many images as there are, and a prior of three times that: λ = 3/4."""
    model, x = warmed_up(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2))).double(), inputs()
    old_mean, old_var = model[0].running_mean.item(), model[0].running_var.item()
    tuned = reestimate(model, batches(x), prior=135, variant=variant)[0]
    assert tuned.running_mean.item() == pytest.approx(0.75 * old_mean + 0.25 * x.mean().item(), rel=1e-12)
    second = 0.75 * (old_var + old_mean**2) + 0.25 * (x**2).mean().item()
    expected = {
        "moments": second - tuned.running_mean.item() ** 2,
        "published": 0.75 * old_var + 0.25 * x.var().item(),
    }
    assert tuned.running_var.item() == pytest.approx(expected[variant], rel=1e-10)


def test_with_a_prior_the_next_layer_sees_the_mixture() -> None:
    model, parts = warmed_up(convolutional()).double(), batches(inputs())
    tuned = reestimate(model, parts, prior=20)
    last = copy.deepcopy(tuned)
    last[4].load_state_dict(model[4].state_dict())
    again = reestimate(last, parts, prior=20, sites=["4"])
    torch.testing.assert_close(again[4].running_var, tuned[4].running_var, rtol=1e-12, atol=0)


def test_only_matching_sites_change_and_others_normalise_as_they_did() -> None:
    model, parts = warmed_up(convolutional()), batches(inputs().float())
    tuned = reestimate(model, parts, sites=["4"])
    assert torch.equal(tuned[1].running_mean, model[1].running_mean)
    with torch.no_grad():
        seen = torch.cat([model[:4](part) for part in parts]).double()
    torch.testing.assert_close(tuned[4].running_mean.double(), seen.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)


def test_a_weighing_layer_weighs_while_it_is_re_estimated() -> None:
    model, parts = warmed_up(convolutional()), batches(inputs().float())
    weigh_examples_(model, find_sites(model), 0.3)
    tuned = reestimate(model, parts)
    assert isinstance(tuned[4], ExampleWeighed)
    with torch.no_grad():
        seen = torch.cat([tuned[:4](part) for part in parts]).double()
    torch.testing.assert_close(tuned[4].running_var.double(), seen.var((0, 2, 3), correction=0), rtol=1e-5, atol=0)
