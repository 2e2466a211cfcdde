"""Folding in networks whose way depends on the input, that carry hooks, or that look at what was folded."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import Adapted
from calibrate.data import open_data
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import PassForm, Setting, best_form
from calibrate.result import silent
from calibrate.surgery import OtherRouteError, folded, for_inference
from tests.builders.networks import convolutional, warmed_up

CPU = torch.device("cpu")


class Routed(nn.Module):
    """Bright and dark images have a normalisation each, or dark ones none."""

    def __init__(self, dark: bool = True) -> None:
        super().__init__()
        self.conv, self.bright, self.dark = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4) if dark else None
        self.dark_mode, self.head = dark, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        if x.mean() > 0:
            z = self.bright(z)
        elif self.dark is not None:
            z = self.dark(z)
        return self.head(torch.relu(z).mean((2, 3)))


class Looking(nn.Module):
    """Reads the type of its normalisation's weight, which is gone when that is folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).mean((2, 3)).to(self.norm.weight.dtype))


class Masked(nn.Module):
    """Weights standardised in each pass, which folding cannot see, and a class that is never to be predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight
        z = self.conv(x) / weight.std()
        logits: Tensor = self.head(torch.relu(self.norm(z)).mean((2, 3)))
        return logits - torch.tensor([0.0, 0.0, 1e9])


def bright_and_dark(n: int = 12) -> Tensor:
    x = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return x + torch.tensor([1.0, -1.0])[torch.arange(n) // (n // 2)].view(-1, 1, 1, 1) * 3


def distinct(network: nn.Module) -> nn.Module:
    """With statistics that are not the same in any two layers."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(4, generator=generator)
            module.running_var = torch.rand(4, generator=generator) + 0.2
    return network.eval()


@pytest.mark.parametrize("dark", [True, False])
def test_an_input_that_goes_another_way_is_told(dark: bool) -> None:
    network, x = distinct(Routed(dark)), bright_and_dark()
    made = folded(network, x[:1], guarded=True)
    torch.testing.assert_close(made(x[:6]), network(x[:6]))
    with pytest.raises(OtherRouteError):
        made(x[6:])
    torch.testing.assert_close(made(x[:6]), network(x[:6]))


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_passes_have_the_network_s_own_numbers_whatever_way_examples_take(dark: bool, order: int) -> None:
    network, x = distinct(Routed(dark)), bright_and_dark() if order == 1 else bright_and_dark().flip(0)
    setting = Setting(PassForm(1, 1, folds=True), CPU, silent)
    source = open_data([(row, i % 3) for i, row in enumerate(x)], preprocessing=None)
    found = predict(network, source, np.arange(len(x)), setting, "test")
    with torch.no_grad():
        expected = torch.cat([network(part) for part in x.split(1)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_stream_has_the_network_s_own_numbers_whatever_way_its_batches_take() -> None:
    network, x = distinct(Routed()), bright_and_dark()
    adapted = Adapted(network, "lame")
    adapted(x[:6])
    torch.testing.assert_close(adapted(x[6:]), Adapted(network, "lame")(x[6:]), rtol=1e-5, atol=1e-5)


def test_a_network_that_looks_at_what_is_folded_is_left_as_it_is() -> None:
    network, x = distinct(Looking()), bright_and_dark()
    torch.testing.assert_close(for_inference(network, x[:2])(x), network(x))
    assert Adapted(network, "lame")(x).shape == (12, 3)


def test_a_huge_constant_logit_hides_nothing() -> None:
    network, x = distinct(Masked()), bright_and_dark()
    assert not best_form(network, x, CPU).folds


def test_examples_that_are_alike_hide_nothing() -> None:
    """Of a batch of one example, logits (1, K) are not those of two."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = convolutional()
            self.seen: Any = None
            self.body[1].register_forward_hook(lambda _m, _a, output: setattr(self, "seen", output))

        def forward(self, x: Tensor) -> Tensor:
            self.body[:2](x)
            return self.body[2:](self.seen)

    network = warmed_up(First())
    x = torch.ones(4, 1, 8, 8)
    setting = Setting(PassForm(4, 1, folds=True), CPU, silent)
    fast = setting.fast(network, x)
    torch.testing.assert_close(fast(2 * x), network(2 * x))


def test_where_nothing_folds_the_form_does_not_say_so() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3)).eval()
    assert folded(network, torch.randn(1, 1, 8, 8)) is network
    assert not best_form(network, torch.randn(2, 1, 8, 8), CPU).folds


def test_hooks_of_the_user_go_on_being_called() -> None:
    network, x, calls = warmed_up(convolutional()), torch.randn(4, 1, 8, 8), []
    network[1].register_forward_hook(lambda *_: calls.append(1))
    made = folded(network, x[:1])
    before = len(calls)
    torch.testing.assert_close(made(x), network(x))
    assert len(calls) == before + 2


def test_a_network_that_refuses_another_memory_format_keeps_its_own() -> None:
    class Contiguous(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = convolutional(channels=3)

        def forward(self, x: Tensor) -> Tensor:
            if not x.is_contiguous():
                raise Exception("contiguous only")
            out: Tensor = self.body(x)
            return out

    assert not best_form(warmed_up(Contiguous()), torch.randn(2, 3, 8, 8), CPU).channels_last
