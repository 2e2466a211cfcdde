"""Folding running means into convolutions changes where they are subtracted, not what comes out."""

import copy

import pytest
import torch
from torch import Tensor, nn

from calibrate.surgery import find_sites, fold_means, weigh_examples_
from tests.networks import Mixed, Tied, convolutional, lived_in


class ReadTwice(nn.Module):
    """The convolution's output goes past the site too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head((self.norm(x) + x).mean((2, 3)))


class PutOut(ReadTwice):
    """The convolution's output is put out too."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.norm(x)
        return x


def half_grouped() -> nn.Module:
    model = convolutional()
    model[4] = nn.GroupNorm(2, 8)
    weigh_examples_(model, find_sites(model)[1:], 1.0)
    return model


def weighed(build: "type[nn.Module]", alpha: float = 0.1) -> nn.Module:
    model = lived_in(build())
    return weigh_examples_(model, [site for site in find_sites(model) if not site.obstacle], alpha)


def folded_sites(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if getattr(module, "centred", False)]


@pytest.mark.parametrize("alpha", [0.1, 1.0])
@pytest.mark.parametrize(
    ("build", "sites"),
    [(convolutional, ["1", "4"]), (Mixed, ["maps"]), (Tied, []), (ReadTwice, []), (PutOut, []), (half_grouped, ["1"])],
    ids=["plain", "mixed", "tied", "read twice", "put out", "beside GroupNorm"],
)
def test_folds_what_one_convolution_gives_one_site(build: "type[nn.Module]", sites: list[str], alpha: float) -> None:
    model = weighed(build, alpha)
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(4, 1, 8, 8)
    expected = model(x)
    folded = fold_means(model, x[:2])
    assert folded_sites(folded) == sites
    torch.testing.assert_close(folded(x), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(model(x), expected)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_a_site_that_is_batch_norm_keeps_every_bit() -> None:
    model = weighed(convolutional, 0.0)
    x = torch.randn(2, 1, 8, 8)
    folded = fold_means(model, x)
    assert folded_sites(folded) == []
    assert torch.equal(folded(x), model(x))


def test_a_network_that_folding_would_change_is_left_alone() -> None:
    class Clipped(nn.Conv2d):
        """Not linear in its bias."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).clamp(-0.1, 0.1)

    def build() -> nn.Module:
        return nn.Sequential(Clipped(1, 4, 3), *list(convolutional().children())[1:3], nn.Flatten(), nn.Linear(144, 3))

    model = weighed(build)  # type: ignore[arg-type]
    x = torch.randn(2, 1, 8, 8)
    folded = fold_means(model, x)
    assert folded_sites(folded) == []
    assert torch.equal(folded(x), model(x))


def test_no_hook_stays_where_the_network_fails() -> None:
    model = weighed(convolutional)
    with pytest.raises(RuntimeError):
        fold_means(model, torch.randn(2, 5, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
