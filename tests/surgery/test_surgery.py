"""Surgery keeps what it does not change: keys, ties, modes, and the network that it was given a copy of."""

import copy
import re

import pytest
import torch
from torch import nn

from calibrate.errors import ModelError, UsageError
from calibrate.nn import ExampleWeighedBatchNorm
from calibrate.surgery import checked_logits, divide_logits_, evaluating, find_sites, look, select, weigh_examples_
from tests.builders.networks import LogSoftmax, Mixed, Tied, convolutional, warmed_up


def test_a_tied_layer_is_one_site_with_all_its_names() -> None:
    sites = find_sites(Tied())
    assert [site.names for site in sites] == [("norm", "again.norm")]


def test_a_swap_keeps_ties_and_keys_and_shares_the_statistics() -> None:
    model = warmed_up(Tied())
    keys = set(model.state_dict())
    norm = model.norm
    swapped = weigh_examples_(model, find_sites(model), 0.2)
    assert swapped is model
    assert isinstance(model.norm, ExampleWeighedBatchNorm)
    assert model.again["norm"] is model.norm  # type: ignore[index]
    assert model.norm.running_mean is norm.running_mean
    assert model.norm.weight is norm.weight
    assert set(model.state_dict()) == keys | {"norm.alpha", "again.norm.alpha"}


@pytest.mark.parametrize("build", [Tied, Mixed, convolutional], ids=["tied", "mixed", "original"])
def test_alpha_0_changes_no_bit_of_the_network(build: "type[nn.Module]") -> None:
    model = warmed_up(build())
    x = torch.randn(3, 1, 8, 8)
    swapped = copy.deepcopy(model)
    weigh_examples_(swapped, select(find_sites(swapped), ("*",)), 0.0)
    assert torch.equal(swapped(x), model(x))


@pytest.mark.parametrize("training", [True, False])
def test_a_swap_keeps_the_mode_of_each_layer(training: bool) -> None:
    model = convolutional().train(not training)
    model[1].train(training)
    weigh_examples_(model, find_sites(model), 0.1)
    assert model[1].training is training
    assert model[4].training is not training


def test_a_lone_layer_is_a_network_too() -> None:
    layer = nn.BatchNorm2d(3).eval()
    swapped = weigh_examples_(layer, find_sites(layer), 0.3)
    assert isinstance(swapped, ExampleWeighedBatchNorm)


def test_layers_that_cannot_weigh_an_example_are_left_and_named() -> None:
    sites = {site.name: site for site in find_sites(Mixed())}
    assert "NormAct" in sites["act"].obstacle
    assert "no running statistics" in sites["batch_only"].obstacle
    assert {site.name for site in select(tuple(sites.values()), ("*",))} == {"maps", "point", "vector"}


def test_patterns_choose_by_any_name() -> None:
    assert [site.name for site in select(find_sites(Tied()), ("again.*",))] == ["norm"]
    assert [site.name for site in select(find_sites(convolutional()), ("4",))] == ["4"]


@pytest.mark.parametrize(
    ("model", "patterns", "error", "message"),
    [
        (nn.Linear(2, 2), ("*",), ModelError, "no batch normalisation"),
        (convolutional(), ("layer9.*",), UsageError, "'layer9.*' matches none"),
        (nn.BatchNorm1d(2, track_running_stats=False), ("*",), ModelError, "no running statistics"),
    ],
)
def test_what_cannot_be_selected_is_explained(
    model: nn.Module, patterns: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        select(find_sites(model), patterns)


def test_evaluating_gives_every_mode_back_after_a_failure() -> None:
    model = Mixed().train()
    model.maps.eval()
    modes = [module.training for module in model.modules()]

    def fail_midway() -> None:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert [module.training for module in model.modules()] == modes


def test_a_look_sees_positions_and_outputs_and_leaves_no_hook() -> None:
    model = warmed_up(Mixed())
    seen = look(model, find_sites(model), torch.zeros(2, 1, 8, 8))
    assert seen.outputs == 3
    assert seen.positions == {"maps": 36, "act": 36, "point": 1, "vector": 1, "batch_only": 1}
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_look_gives_its_hooks_back_after_a_failure() -> None:
    model = convolutional()
    with pytest.raises(ModelError, match=r"inputs of shape \(2, 5, 8, 8\)"):
        look(model, find_sites(model), torch.zeros(2, 5, 8, 8))
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("output", "kind", "said"),
    [
        ((torch.zeros(2, 3),), "other", "a tuple of 1 for 2 inputs"),
        ({"logits": 1}, "other", "a dict with 'logits' for 2 inputs"),
        (torch.zeros(2, 3, 4), "positions", "a tensor of shape (2, 3, 4) for 2 inputs"),
        (torch.zeros(5, 2, 3), "steps", "a tensor of shape (5, 2, 3) for 2 inputs"),
        (torch.zeros(2), "one logit", "one logit each, a tensor of shape (2,) for 2 inputs"),
        (torch.zeros(()), "other", "a tensor of shape () for 2 inputs"),
        (torch.zeros(3, 4), "other", "a tensor of shape (3, 4) for 2 inputs"),
        (torch.zeros(2, 3).to(torch.complex64), "complex", "a tensor of shape (2, 3) and type complex64 for 2 inputs"),
        (torch.zeros(2, 3).bool(), "decisions", "a tensor of shape (2, 3) and type bool for 2 inputs"),
        (torch.zeros(2).long(), "decisions", "a tensor of shape (2,) and type int64 for 2 inputs"),
        (None, "other", "a NoneType for 2 inputs"),
    ],
)
def test_a_network_that_puts_out_no_logits_is_explained(output: object, kind: str, said: str) -> None:
    class Odd(nn.Module):
        def forward(self, _x: torch.Tensor) -> object:
            return output

    inputs = torch.zeros(2, 1, 8, 8)
    seen = look(Odd(), (), inputs)
    width = output.shape[1] if isinstance(output, torch.Tensor) and output.shape == (2, 3) else 0
    assert (seen.outputs, seen.is_classifier, seen.may_be_probabilities) == (width, False, False)
    assert (seen.kind, seen.put_out) == (kind, said)
    with pytest.raises(ModelError, match=f"puts out {re.escape(said)}, where logits of shape"):
        checked_logits(Odd(), inputs)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_steps_and_positions_are_told_apart_where_there_are_as_many_as_examples(count: int) -> None:
    class Ending(nn.Module):
        def __init__(self, first: bool) -> None:
            super().__init__()
            self.first = first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(count, len(x), 5) if self.first else torch.zeros(len(x), count, 5)

    kinds = [look(Ending(first), (), torch.zeros(count, 1, 8, 8)).kind for first in (True, False)]
    assert kinds == ["steps", "positions"]


@pytest.mark.parametrize(
    ("output", "classifies", "may_be"),
    [
        (torch.zeros(2, 1), False, False),
        (torch.zeros(2, 0), False, False),
        (torch.eye(2), True, True),
        (torch.eye(2) * 1.02, True, True),
        (torch.tensor([[1.02, 0.0], [1.0, 0.0]]), True, False),
        (torch.eye(2) - 1e-3, True, False),
        (torch.tensor([[0.5, torch.nan], [0.5, 0.5]]), True, False),
    ],
)
def test_a_look_tells_classifiers_and_what_may_be_probabilities(
    output: torch.Tensor, classifies: bool, may_be: bool
) -> None:
    class Fixed(nn.Module):
        def forward(self, _x: torch.Tensor) -> torch.Tensor:
            return output

    seen = look(Fixed(), (), torch.zeros(2, 1))
    assert (seen.outputs, seen.is_classifier, seen.may_be_probabilities) == (output.shape[1], classifies, may_be)


@pytest.mark.parametrize(
    ("build", "folded"),
    [(convolutional, "8"), (Mixed, "head"), (Tied, None), (LogSoftmax, None)],
    ids=["linear", "convolution", "tied", "log-softmax"],
)
def test_dividing_the_logits(build: "type[nn.Module]", folded: str | None) -> None:
    """Where one linear layer scales the logits it takes 1/T; else the division is added, and kept in the state."""
    model = warmed_up(build())
    x = torch.randn(4, 1, 8, 8)
    expected = model(x) / 1.7
    original = copy.deepcopy(model)
    assert divide_logits_(model, 1.7, x[:2]) == folded
    torch.testing.assert_close(model(x), expected, rtol=1e-6, atol=1e-6)
    assert ("temperature" in model.state_dict()) == (folded is None)
    assert torch.equal(original(x) / 1.7, expected)
    torch.testing.assert_close(copy.deepcopy(model)(x), expected, rtol=1e-6, atol=1e-6)


def test_temperatures_that_cannot_be_folded_multiply() -> None:
    model = warmed_up(Tied())
    x = torch.randn(2, 1, 8, 8)
    expected = model(x) / 3
    divide_logits_(model, 2.0, x)
    divide_logits_(model, 1.5, x)
    torch.testing.assert_close(model(x), expected, rtol=1e-6, atol=1e-6)
    assert len(model._forward_hooks) == 1
