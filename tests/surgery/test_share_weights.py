"""Copies that share weights: normalisation is each one's own, and everything else is there once."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from calibrate.surgery import find_sites, share_weights, weigh_examples_
from tests.builders.networks import Mixed, Tied, convolutional, grouped, warmed_up


def through(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        y: torch.Tensor = model.eval()(x)
        return y


class LentScale(nn.Module):
    """BatchNorm whose γ another layer multiplies by, too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.other = nn.BatchNorm2d(1), nn.PReLU(1)
        self.other.weight = self.norm.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.other(self.norm(x)).mean((2, 3))
        return y


@pytest.mark.parametrize("build", [convolutional, grouped, Tied, Mixed, LentScale])
def test_what_is_done_to_the_normalisation_of_one_is_not_seen_by_the_other(build: Callable[[], nn.Module]) -> None:
    model = warmed_up(build())
    x = torch.randn(4, 1, 8, 8)
    before = through(model, x)
    other = share_weights(model)
    assert torch.equal(through(other, x), before)
    with torch.no_grad():
        for site in find_sites(other):
            for tensor in (*site.module.parameters(), *site.module.buffers()):
                tensor.add_(1)
    weigh_examples_(other, [site for site in find_sites(other) if not site.obstacle and not site.is_group_norm], 0.5)
    assert not torch.equal(through(other, x), before)
    assert torch.equal(through(model, x), before)


@pytest.mark.parametrize("build", [convolutional, Tied, Mixed, LentScale])
def test_all_other_parameters_are_there_once_and_ties_stay(build: Callable[[], nn.Module]) -> None:
    model = warmed_up(build())
    other = share_weights(model)
    own = {id(tensor) for site in find_sites(model) for tensor in site.module.parameters()}
    pairs = [*zip(model.parameters(), other.parameters(), strict=True)]
    assert [one is two for one, two in pairs] == [id(one) not in own for one, _ in pairs]
    assert [*dict(other.named_parameters())] == [*dict(model.named_parameters())]
    assert len(find_sites(other)) == len(find_sites(model))
