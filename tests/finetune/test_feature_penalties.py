"""Penalties on features: DELTA, BSS, and the attention of DELTA."""

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.finetune import BSS, Delta, Penalty, channel_attention
from calibrate.finetune.features import gathering
from tests.builders.networks import Tied, convolutional, move_, warmed_up
from tests.finetune import reference
from tests.finetune.reference import Array


def vectors() -> nn.Sequential:
    """A network whose features are (N, C) all the way."""
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


def draw(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs(model: nn.Module, layers: Iterable[str], x: Tensor) -> list[Array]:
    """What the modules put out, call by call."""
    found: dict[str, list[Array]] = {name: [] for name in layers}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, y, calls=calls: calls.append(y.detach().double().numpy().copy())
        )
        for name, calls in found.items()
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return [y for calls in found.values() for y in calls]


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


#: A network, its inputs, the layers watched and the number of their channels.
DELTAS: dict[str, tuple[Any, tuple[int, ...], list[str], list[int]]] = {
    "maps": (convolutional, (6, 1, 7, 5), ["1", "3"], [4, 8]),
    "vectors": (vectors, (6, 5), ["0", "3"], [4, 3]),
    "a batch of one": (vectors, (1, 5), ["3"], [3]),
}


@pytest.mark.parametrize("name", DELTAS)
@pytest.mark.parametrize("weighed", [True, False], ids=["attention", "original"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.bfloat16, 3e-2)])
def test_delta_is_the_formula(name: str, weighed: bool, dtype: torch.dtype, tolerance: float) -> None:
    build, shape, layers, channels = DELTAS[name]
    model = warmed_up(build()).to(dtype)
    source = copy.deepcopy(model)
    shares = [draw(count).softmax(0) for count in channels]
    penalty = Delta(model, source, layers, 0.3, dict(zip(layers, shares, strict=True)) if weighed else None)
    move_(model)
    x = draw(*shape).to(dtype)
    expected = reference.delta(
        outputs(model, layers, x),
        outputs(source, layers, x),
        0.3,
        [share.numpy() for share in shares] if weighed else None,
    )
    with penalty.watching():
        model(draw(*shape, seed=4).to(dtype))  # of which nothing is left
        model(x)
        actual = penalty().item()
    assert expected > 0
    assert actual == pytest.approx(expected, rel=tolerance)


def test_delta_counts_every_call_of_a_tied_layer() -> None:
    model = warmed_up(Tied().double())
    source = copy.deepcopy(model)
    penalty = Delta(model, source, ["norm"], 0.5)
    move_(model)
    x = draw(4, 1, 5, 5)
    mine, its = outputs(model, ["norm"], x), outputs(source, ["norm"], x)
    assert len(mine) == 2
    with penalty.watching():
        model(x)
        assert penalty().item() == pytest.approx(reference.delta(mine, its, 0.5, None), rel=1e-12)


def test_features_of_a_layer_with_two_names_are_given_under_both() -> None:
    model, x = warmed_up(Tied().double()), draw(4, 1, 6, 6)
    with gathering(model, ["norm", "again.norm"]) as features:
        model(x)
        model(x)
    assert [len(calls) for calls in features.values()] == [2, 2]
    for one, other in zip(features["norm"], features["again.norm"], strict=True):
        assert one is other


def test_delta_s_source_stays_what_it_was_when_the_network_itself_is_given() -> None:
    model = warmed_up(convolutional().double()).train()
    penalty = Delta(model, model, ["3"], 1.0)
    before = copy.deepcopy(penalty.source.state_dict())
    x = draw(6, 1, 7, 5)
    with penalty.watching():
        model(x)
        by_batch = penalty().item()
        by_running = warmed_up(convolutional().double())
        assert by_batch == pytest.approx(
            reference.delta(outputs(model, ["3"], x), outputs(by_running, ["3"], x), 1.0, None)
        )
        penalty().backward()
    assert by_batch > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in penalty.source.state_dict().items())
    assert all(parameter.grad is None for parameter in penalty.source.parameters())


@pytest.mark.parametrize("k", [1, 2, 3, 9])
@pytest.mark.parametrize("n", [1, 3, 8])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.bfloat16, 1e-3)])
def test_bss_is_the_formula(k: int, n: int, dtype: torch.dtype, tolerance: float) -> None:
    model = warmed_up(vectors()).to(dtype)
    penalty = BSS(model, ["5"], k, 0.3)
    x = draw(n, 5).to(dtype)
    with penalty.watching():
        model(x)
        actual = penalty().item()
    expected = reference.bss(outputs(model, ["4"], x)[0], k, 0.3)
    assert actual == pytest.approx(expected, rel=tolerance, abs=1e-7)


def test_bss_takes_the_maps_that_a_convolutional_head_is_given() -> None:
    model = warmed_up(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Conv2d(2, 3, 1)).double())
    penalty = BSS(model, ["2"], 2, 1.0)
    x = draw(4, 1, 4, 4)
    with penalty.watching():
        model(x)
        expected = reference.bss(outputs(model, ["1"], x)[0], 2, 1.0)
        assert penalty().item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: Delta(model, model, ["0", "3"], 0.3, {"0": draw(4).softmax(0), "3": draw(3).softmax(0)}),
        lambda model: Delta(model, model, ["0", "3"], 0.3),
        lambda model: BSS(model, ["5"], 2, 0.3),
    ],
    ids=["delta with attention", "delta", "bss"],
)
def test_the_gradient_is_that_of_the_value(make: Any) -> None:
    model = warmed_up(vectors().double())
    penalty = make(model)
    move_(model)
    x = draw(6, 5)

    def loss() -> Tensor:
        model(x)
        return penalty()

    with penalty.watching():
        reference.assert_gradient(model, loss)


FEATURE_PENALTIES = {
    "delta": lambda model: Delta(model, model, ["3"]),
    "bss": lambda model: BSS(model, ["8"]),
}


@pytest.mark.parametrize("name", FEATURE_PENALTIES)
def test_hooks_are_given_back_also_after_an_exception(name: str) -> None:
    model = convolutional()
    penalty: Penalty = FEATURE_PENALTIES[name](model)

    def interrupted() -> None:
        with penalty.watching():
            model(torch.randn(4, 1, 7, 5))
            assert hooks(model)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not hooks(model)
    assert not hooks(getattr(penalty, "source", model))
    with pytest.raises(UsageError, match=r"no batch has gone through .* while the penalty watches"):
        penalty()


@pytest.mark.parametrize("name", FEATURE_PENALTIES)
def test_a_penalty_before_the_first_batch_says_what_to_do(name: str) -> None:
    penalty = FEATURE_PENALTIES[name](convolutional())
    with penalty.watching(), pytest.raises(UsageError, match=r"call .* first"):
        penalty()


class TestAttention:
    def test_is_the_softmax_of_what_each_channel_costs(self) -> None:
        model = warmed_up(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double())
        batches = [(draw(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])), (draw(2, 5, seed=9), torch.tensor([2, 2]))]
        weight, bias = (p.detach().numpy() for p in (model[2].weight, model[2].bias))
        increases = {"0": np.zeros(4), "1": np.zeros(4)}
        for x, y in batches:
            hidden = model[0](x).detach().numpy()
            plain = reference.cross_entropy(np.tanh(hidden) @ weight.T + bias, y.numpy())
            for channel in range(4):
                without = hidden.copy()
                without[:, channel] = 0
                lost = reference.cross_entropy(np.tanh(without) @ weight.T + bias, y.numpy()) - plain
                for name in increases:  # tanh(0) is 0, so both layers lose the same
                    increases[name][channel] += lost
        found = channel_attention(model, ["0", "1"], batches)
        for name, expected in increases.items():
            np.testing.assert_allclose(found[name], reference.attention(expected), rtol=1e-10)
            assert found[name].sum().item() == pytest.approx(1)

    def test_a_silenced_channel_is_a_filter_of_zeros(self) -> None:
        model = warmed_up(convolutional().double())
        x, y = draw(6, 1, 7, 5), torch.tensor([0, 1, 2, 0, 1, 2])
        increases = np.zeros(8)
        for channel in range(8):
            without = copy.deepcopy(model)
            with torch.no_grad():
                without[3].weight[channel] = 0
            increases[channel] = reference.cross_entropy(without(x).detach().numpy(), y.numpy())
        np.testing.assert_allclose(
            channel_attention(model, ["3"], [(x, y)])["3"], reference.attention(increases), rtol=1e-9
        )

    def test_channels_that_matter_alike_weigh_alike_and_delta_is_then_a_mean_over_positions(self) -> None:
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        nn.init.zeros_(model[3].weight)
        found = channel_attention(model, ["0"], [(torch.randn(3, 1, 5, 5), torch.tensor([0, 1, 0]))])
        assert found["0"].tolist() == [0.25] * 4

    def test_modes_and_hooks_are_given_back_also_after_an_exception(self) -> None:
        model = convolutional().train()
        model[4].eval()
        modes = [module.training for module in model.modules()]
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(IndexError):
            channel_attention(model, ["3"], [(torch.randn(2, 1, 7, 5), torch.tensor([0, 3]))])
        assert not hooks(model)
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda model: BSS(model, ["8"], k=0), UsageError, "k is 0; .* 1 or more"),
        (lambda model: BSS(model, []), UsageError, "no module is named as the head"),
        (lambda model: Delta(model, model, ["3"], attention={}), UsageError, "nothing of the layer '3'"),
        (
            lambda model: channel_attention(model, ["33"], [(torch.ones(1), torch.ones(1))]),
            UsageError,
            "no module '33'",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_can(build: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        build(convolutional())


def test_a_module_that_puts_out_no_features_is_named() -> None:
    model = nn.Sequential(nn.LSTM(3, 4))
    penalty = Delta(model, model, ["0"])
    with penalty.watching(), pytest.raises(ModelError, match=r"0 puts out a tuple, where features .* are needed"):
        model(torch.ones(2, 3))
