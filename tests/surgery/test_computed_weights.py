"""Layers whose weights torch's hooks compute are copied and weighed like others, and follow what they come from."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_weight_norm, weight_norm

from calibrate.errors import ModelError
from calibrate.surgery import copied, find_sites, share_weights, weigh_examples_
from tests.builders.networks import warmed_up


def network(norm: Callable[[], nn.Module]) -> nn.Sequential:
    return warmed_up(nn.Sequential(nn.Conv2d(1, 4, 3), norm(), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))


def pruned(net: nn.Sequential) -> None:
    prune.custom_from_mask(net[1], "weight", torch.tensor([1.0, 0.0, 1.0, 1.0]))
    prune.custom_from_mask(net[1], "bias", torch.tensor([0.0, 1.0, 1.0, 1.0]))


def plain_again(net: nn.Sequential) -> None:
    for name in ("weight", "bias"):
        prune.remove(net[1], name)


def normed(net: nn.Sequential) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch prefers its parametrisation
        weight_norm(net[1], "weight", dim=None)  # type: ignore[arg-type]


def unnormed(net: nn.Sequential) -> None:
    remove_weight_norm(net[1], "weight")


CASES = {"pruned": (pruned, plain_again), "weight norm": (normed, unnormed)}
NORMS: list[Callable[[], nn.Module]] = [lambda: nn.BatchNorm2d(4), lambda: nn.GroupNorm(2, 4)]
X = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("case", CASES)
def test_alpha_at_a_layer_of_computed_weights_is_alpha_at_the_plain_layer(
    case: str, norm: Callable[[], nn.Module]
) -> None:
    compute, make_plain = CASES[case]
    net = network(norm)
    compute(net)
    names = set(net.state_dict())
    plain = copied(net)
    make_plain(plain)
    for model in (net, plain):
        weigh_examples_(model, find_sites(model), 0.3)
    torch.testing.assert_close(net(X), plain(X))
    assert names < set(net.state_dict())
    with torch.no_grad():
        next(part for name, part in net[1].named_parameters() if name.startswith("weight_")).mul_(2)
    assert not torch.allclose(net(X), plain(X))  # it follows what it is computed from


@pytest.mark.parametrize("copy_of", [copied, share_weights])
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_it_is_copied_before_and_after_a_pass_with_gradients(
    case: str, ran: bool, copy_of: Callable[[nn.Module], nn.Module]
) -> None:
    net = network(lambda: nn.BatchNorm2d(4))
    CASES[case][0](net)
    if ran:
        net(X)
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(net)
    torch.testing.assert_close(copy_of(net)(X), net(X))


class Odd(nn.Module):
    """A network whose own copying does what ``copying`` does."""

    def __init__(self, copying: Callable[[Any], Any]) -> None:
        super().__init__()
        self.norm, self.copying = nn.BatchNorm2d(1), copying

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.copying(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x).flatten(1)


def fails(_: Any) -> None:
    raise LookupError("no\nsuch socket")


@pytest.mark.parametrize(
    ("copying", "said"),
    [
        (fails, "LookupError: no such socket"),
        (lambda net: net, "is the network itself"),
        (lambda _: 3, "is of the class int"),
    ],
)
@pytest.mark.parametrize("copy_of", [copied, share_weights])
def test_what_a_networks_own_copying_does_wrong_is_said(
    copying: Callable[[Any], Any], said: str, copy_of: Callable[[nn.Module], nn.Module]
) -> None:
    with pytest.raises(ModelError, match=said):
        copy_of(Odd(copying))


def test_a_parametrised_layer_stays_as_it_is_and_the_reason_says_what_to_do() -> None:
    net = network(lambda: nn.BatchNorm2d(4))
    parametrize.register_parametrization(net[1], "weight", nn.Softplus())
    (site,) = find_sites(net)
    assert "its weight is computed from others (torch.nn.utils.parametrize.remove_param" in site.obstacle
    parametrize.remove_parametrizations(net[1], "weight")
    assert not find_sites(net)[0].obstacle
