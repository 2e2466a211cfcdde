"""Folding statistics into convolutions changes where they are applied, not what comes out."""

import copy

import pytest
import torch
from torch import Tensor, nn

from calibrate.nn import ExampleWeighed, WhitenedExampleWeighed
from calibrate.surgery import find_sites, for_inference, weigh_examples_
from tests.builders.networks import Mixed, Tied, Volumes, convolutional, half_grouped, warmed_up


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


def half_grouped_with_moments() -> nn.Module:
    model = half_grouped()
    return weigh_examples_(model, find_sites(model)[1:], 1.0)


def weighed(build: "type[nn.Module]", alpha: float = 0.1) -> nn.Module:
    model = warmed_up(build())
    return weigh_examples_(model, [site for site in find_sites(model) if not site.obstacle], alpha)


class Transposed(nn.Module):
    """The site is fed by a transposed convolution; another by a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm = nn.ConvTranspose2d(1, 4, 3, stride=2), nn.BatchNorm2d(4)
        self.linear, self.vector, self.head = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.vector(self.linear(self.norm(self.up(x)).mean((2, 3)))))


class ResidualInPlace(nn.Module):
    """Grouped, depthwise and biased convolutions, and a residual that is added after each site, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.a, self.b, self.c = nn.BatchNorm2d(4, eps=0.1), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.a(self.stem(x)))
        x = self.b(self.grouped(x)) + x
        x = self.c(self.depthwise(x)).add_(x)
        return self.head(x.mean((2, 3)))


class SharedWeight(nn.Module):
    """Two convolutions share one weight, and feed sites with different statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3, bias=False)
        self.second.weight = self.first.weight
        self.a, self.b, self.head = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.a(self.first(x)) * self.b(self.second(x))).mean((2, 3)))


class WeightNorm(nn.Module):
    """The convolution's weight is computed from other parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3))
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).mean((2, 3)))


#: Each network, the sites that a convolution takes part of, and the sites that stay whole.
NETWORKS: dict[str, tuple[type[nn.Module], set[str], set[str]]] = {
    "original": (convolutional, {"1", "4"}, set()),  # type: ignore[dict-item]
    "mixed": (Mixed, {"maps"}, {"point", "vector"}),
    "tied": (Tied, set(), {"norm"}),
    "read twice": (ReadTwice, set(), {"norm"}),
    "put out": (PutOut, set(), {"norm"}),
    "transposed, linear": (Transposed, set(), {"norm", "vector"}),
    "residual": (ResidualInPlace, {"a", "b", "c"}, set()),
    "shared weight": (SharedWeight, {"a", "b"}, set()),
    "weight norm": (WeightNorm, set(), {"norm"}),
    "beside GroupNorm": (half_grouped_with_moments, {"1"}, {"4"}),  # type: ignore[dict-item]
    "volumes": (Volumes, {"line_norm", "box_norm"}, {"last"}),
}


def names_of(model: nn.Module, kind: type[nn.Module]) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, kind)}


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_puts_out_the_same_on_other_examples(name: str, alpha: float, dtype: torch.dtype, tolerance: float) -> None:
    build, taken, whole = NETWORKS[name]
    model = weighed(build, alpha).to(dtype)
    before = copy.deepcopy(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    seen, unseen = (torch.randn(n, 1, 8, 8, generator=generator, dtype=dtype) for n in (2, 5))
    folded = for_inference(model, seen)
    assert names_of(folded, WhitenedExampleWeighed) == (taken if alpha else set())
    assert names_of(folded, ExampleWeighed) == whole
    with torch.no_grad():
        for x in (seen, unseen, unseen[: 2 if build is Mixed else 1]):  # Mixed normalises with its batch
            kept = x.clone()
            torch.testing.assert_close(folded(x), model(x), rtol=tolerance, atol=tolerance)
            assert torch.equal(x, kept)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_the_network_keeps_its_mode_and_its_gradients() -> None:
    model = weighed(convolutional).train()  # type: ignore[arg-type]
    folded = for_inference(model, torch.randn(2, 1, 8, 8))
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_gradients_of_the_input_are_the_network_s(alpha: float) -> None:
    model = weighed(ResidualInPlace, alpha).double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    expected, actual = (
        torch.autograd.grad(network(x).square().sum(), x)[0] for network in (model, for_inference(model, x.detach()))
    )
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["BatchNormAct2d", "FrozenBatchNormAct2d"])
def test_a_layer_that_activates_too_goes_on_doing_so(kind: str, alpha: float) -> None:
    timm_layers = pytest.importorskip("timm.layers")
    model = warmed_up(nn.Sequential(nn.Conv2d(1, 4, 3), getattr(timm_layers, kind)(4, act_layer=nn.SiLU), nn.Flatten()))
    model = weigh_examples_(model, find_sites(model), alpha)
    x = torch.randn(2, 1, 8, 8)
    folded = for_inference(model, x)
    assert not names_of(folded, ExampleWeighed)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-5, atol=1e-5)


def test_layers_that_were_never_weighed_are_folded_too() -> None:
    model = warmed_up(convolutional())
    x = torch.randn(2, 1, 8, 8)
    folded = for_inference(model, x)
    assert not names_of(folded, nn.BatchNorm2d)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-5, atol=1e-5)


def test_one_alpha_per_channel_is_kept() -> None:
    model = weighed(convolutional)  # type: ignore[arg-type]
    model[1].alpha = torch.tensor([0.0, 0.3, 0.9, 1.0])  # type: ignore[index]
    x = torch.randn(2, 1, 8, 8)
    folded = for_inference(model, x)
    assert names_of(folded, WhitenedExampleWeighed) == {"1", "4"}
    torch.testing.assert_close(folded(x), model(x), rtol=1e-5, atol=1e-5)


def test_a_network_that_folding_would_change_is_left_alone() -> None:
    class Clipped(nn.Conv2d):
        """Not linear in its bias."""

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).clamp(-0.1, 0.1)

    def build() -> nn.Module:
        return nn.Sequential(Clipped(1, 4, 3), *list(convolutional().children())[1:3], nn.Flatten(), nn.Linear(144, 3))

    model = weighed(build)  # type: ignore[arg-type]
    x = torch.randn(2, 1, 8, 8)
    folded = for_inference(model, x)
    assert not names_of(folded, WhitenedExampleWeighed)
    with torch.no_grad():
        assert torch.equal(folded(x), model(x))


def test_no_hook_stays_where_the_network_fails() -> None:
    model = weighed(convolutional)
    with pytest.raises(RuntimeError):
        for_inference(model, torch.randn(2, 5, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
