"""The table of adapters against the union of methods, and what holds for those that learn nothing."""

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from calibrate.adapt import ADAPTERS, Adapted
from calibrate.adapt.lame import laplacian_adjusted
from calibrate.errors import DataError
from calibrate.nn import ExampleWeighedBatchNorm
from calibrate.steps import IEW, LAME, BNAlpha, Method, PredictionTimeBN
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.networks import convolutional, warmed_up


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_every_method_has_its_adapter() -> None:
    assert set(ADAPTERS) == set(get_args(get_args(Method)[0]))


@pytest.mark.parametrize("method", [IEW(alpha=0.3), LAME()], ids=lambda method: method.kind)
def test_a_network_that_stays_as_it_is_runs_folded_and_puts_out_the_same(method: Method) -> None:
    model = warmed_up(convolutional())
    adapted = Adapted(model, method)
    x = images(8)
    first = adapted(x)
    with torch.no_grad():
        if isinstance(method, LAME):
            expected = laplacian_adjusted(model(x), model[:-1](x), method.neighbours, method.iterations)
        else:
            weighing = copy.deepcopy(model)
            expected = weigh_examples_(weighing, find_sites(weighing), 0.3)(x)
    torch.testing.assert_close(first, expected, rtol=1e-5, atol=1e-5)
    folded = adapted._adapter.folded
    assert not any(isinstance(module, nn.BatchNorm2d | ExampleWeighedBatchNorm) for module in folded.modules())
    adapted.reset()
    assert torch.equal(adapted(x), first)
    assert adapted._adapter.folded is folded
    assert adapted.tally.forward == 2
    assert adapted.model.state_dict().keys() >= model.state_dict().keys()


@pytest.mark.parametrize(
    "method", [PredictionTimeBN(), BNAlpha(prior=8.0), IEW(), LAME()], ids=lambda method: method.kind
)
def test_what_learns_nothing_predicts_the_same_after_any_stream(method: Method) -> None:
    """So that there is nothing to reset."""
    adapted = Adapted(warmed_up(convolutional()), method)
    first = adapted(images(8))
    adapted(10 * images(5, seed=1))
    assert torch.equal(adapted(images(8)), first)
    adapted.reset()
    assert torch.equal(adapted(images(8)), first)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_batch_with_one_value_that_is_not_finite_is_refused(value: float) -> None:
    adapted, x = Adapted(warmed_up(convolutional()), PredictionTimeBN()), images(8)
    x[3, 0, 2, 2] = value
    with pytest.raises(DataError, match="values are finite"):
        adapted(x)


def test_large_values_whose_sum_overflows_are_finite() -> None:
    x = torch.full((8, 1, 8, 8), 1e37)
    assert x.sum().isinf()
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 3)).eval()
    assert len(Adapted(network, IEW(alpha=0))(x)) == 8
