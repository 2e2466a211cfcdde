"""The misfit of inputs, against a float64 reference, and the ways in which arrays may have lost their preparation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.data import prepare_arrays
from calibrate.diagnose import array_preparations, first_layer, image_preparations, misfit, undoing_map, unit_ranges
from calibrate.diagnose.preparations import COLOR
from calibrate.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputMap, Preprocessing
from tests.builders.networks import Tied, Volumes, convolutional, frozen, grouped, move_, vectors, warmed_up
from tests.builders.states import assert_untouched, snapshot

EXACT = 1e-9


def reference(layer: nn.BatchNorm2d, x: Tensor) -> float:
    """The divergence from the stored to the seen normal distribution, channel by channel, by numpy."""
    seen = x.double().transpose(0, 1).flatten(1).numpy()
    m, v = seen.mean(1), seen.var(1)
    rm, rv = (buffer.double().numpy() for buffer in (layer.running_mean, layer.running_var))
    live = rv > 1e-3 * np.quantile(rv, 0.75)
    return float(np.mean(0.5 * (v / rv - 1 - np.log(v / rv) + (m - rm) ** 2 / rv)[live]))


def test_the_misfit_is_the_divergence_over_live_channels_whatever_the_batches() -> None:
    net = convolutional(channels=3).eval()
    move_(net)
    net[1].running_var[0] = 1e-9  # carries nothing, and would outweigh all others
    x = torch.randn(13, 3, 9, 9) * 2 + 1
    first = first_layer(net, x[:2])
    assert not isinstance(first, str)
    assert (first.name, first.behind, first.live.tolist()) == ("1", 1, [False, *[True] * (len(first.live) - 1)])
    with torch.inference_mode():
        expected = reference(net[1], net[0](x))
    for size in (1, 5, 13):
        assert misfit(net, first, x.split(size)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("build", "shape", "name"),
    [
        (vectors, (5, 64), "0"),
        (Volumes, (2, 1, 4, 4, 4), "norm"),
        (frozen, (4, 1, 8, 8), "1"),
        (Tied, (4, 1, 8, 8), "norm"),
    ],
    ids=["vectors", "volumes", "frozen", "tied"],
)
def test_the_first_layer_is_the_one_that_an_input_reaches(
    build: Callable[[], nn.Module], shape: tuple[int, ...], name: str
) -> None:
    net = build().eval()
    names = [key for key, module in net.named_modules() if isinstance(getattr(module, "running_mean", None), Tensor)]
    for module in net.modules():
        if isinstance(getattr(module, "running_mean", None), Tensor):
            module.running_mean += 0.5
    x = torch.randn(*shape)
    before = snapshot(net)
    first = first_layer(net, x)
    assert not isinstance(first, str), first
    assert first.name in names
    assert first.module is net.get_submodule(first.name)
    misfit(net, first, [x])
    assert_untouched(net, before)


def test_half_precision_and_one_example_of_one_position_have_a_misfit() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2)).eval().to(torch.bfloat16)
    net[0].running_mean += 1
    first = first_layer(net, torch.ones(1, 2, 1, 1, dtype=torch.bfloat16))
    assert not isinstance(first, str)
    assert misfit(net, first, [torch.ones(1, 2, 1, 1, dtype=torch.bfloat16)]) == pytest.approx(
        0.5 * (1e-6 - 1 - np.log(1e-6)), rel=1e-6
    )


def test_what_cannot_be_compared_says_why() -> None:
    x = torch.randn(4, 1, 8, 8)
    assert "never filled" in str(first_layer(convolutional().eval(), x))
    assert "keeps no running statistics" in str(first_layer(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), x))
    assert "keeps no running statistics" in str(first_layer(grouped().eval(), x))
    sick = warmed_up(convolutional())
    sick[1].running_var.fill_(float("nan"))
    assert "finite" in str(first_layer(sick, x))

    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    assert "reached" in str(first_layer(Aside(), x))


def test_a_failing_pass_leaves_no_hook_and_the_modes() -> None:
    net = warmed_up(convolutional()).train()
    before = snapshot(net)
    with pytest.raises(Exception, match="cannot take inputs of shape"):
        first_layer(net, torch.randn(2, 5, 8, 8))
    assert_untouched(net, before)


@pytest.mark.parametrize(("scale", "shift"), [((2.0, 0.4, 1.0), (0.5, -1.0, 0.0)), ((0.1, 0.1, 0.1), (3.0, 3.0, 3.0))])
def test_the_undoing_map_undoes_an_affine_map(scale: tuple[float, ...], shift: tuple[float, ...]) -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, bias=False), nn.BatchNorm2d(12), nn.Flatten(), nn.LazyLinear(2))
    x = torch.randn(24, 3, 10, 10).cumsum(3) / 3  # neighbours are alike, as in images
    net[1].momentum = None
    net.train()(x)
    net.eval()
    made = prepare_arrays(x, InputMap(scale=scale, shift=shift))
    first = first_layer(net, made[:2])
    assert not isinstance(first, str)
    found = undoing_map(net, first, made)
    assert found is not None
    again = made * found[0].view(1, -1, 1, 1) + found[1].view(1, -1, 1, 1)
    assert misfit(net, first, [made]) > 0.1
    assert misfit(net, first, [again]) < 1e-3
    torch.testing.assert_close(found[0].double(), 1 / torch.tensor(scale).double(), rtol=0.05, atol=0.02)


def pixels(channels: int) -> Tensor:
    """Values of 0 to 1 that fill the range in every channel."""
    x = torch.rand(20, channels, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[0, :, 0, 0], x[1, :, 0, 0] = 0, 1
    return x


def normalized(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean) / std


@pytest.mark.parametrize(
    "lost",
    [
        lambda x: x,
        lambda x: 255 * x,
        lambda x: x / 255,
        lambda x: 4095 * x,
        lambda x: 65535 * x,
        lambda x: 4095 / 65535 * x,
        lambda x: 2 * x - 1,
        lambda x: normalized(normalized(x)),
        lambda x: normalized(255 * x),
        lambda x: normalized(1 - x),
        lambda x: normalized(x).flip(1),
        lambda x: normalized(x).transpose(2, 3),
        lambda x: (1 - x).flip(1),
    ],
    ids=[
        "0–1", "0–255", "divided twice", "12 bits", "16 bits", "12 of 16 bits", "half", "twice", "on 0–255",
        "inverted", "BGR", "transposed", "inverted BGR",
    ],
)  # fmt: skip
def test_some_preparation_gives_back_what_arrays_lost(lost: Callable[[Tensor], Tensor]) -> None:
    x = pixels(3)
    arrays = lost(x)
    by_channel = arrays.transpose(0, 1).flatten(1)
    low, high = tuple(by_channel.amin(1).tolist()), tuple(by_channel.amax(1).tolist())
    pair = ((0.5,) * 3, (0.3,) * 3)
    made = array_preparations(InputMap(), (3, 6, 6), low, high, data=pair, training=None)
    assert min(float((prepare_arrays(arrays, item) - normalized(x)).abs().max()) for item in made.values()) < 1e-5


@pytest.mark.parametrize("channels", [1, 2, 13])
def test_arrays_of_any_channels_may_want_the_moments_of_a_set_or_of_each_example(channels: int) -> None:
    x = 700 * pixels(channels) + 20
    by_channel = x.transpose(0, 1).flatten(1)
    mean, std = by_channel.mean(1), by_channel.std(1, correction=0)
    pair = tuple(mean.tolist()), tuple(std.tolist())
    ends = tuple(by_channel.amin(1).tolist()), tuple(by_channel.amax(1).tolist())
    made = array_preparations(InputMap(), (channels, 6, 6), *ends, data=pair, training=pair)
    of_data = prepare_arrays(x, made["the mean and std of the training data"])
    torch.testing.assert_close(of_data, (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1), atol=1e-4, rtol=1e-4)
    by_example = prepare_arrays(x, made["each example by its own mean and std"])
    torch.testing.assert_close(by_example.mean((2, 3)), torch.zeros(20, channels).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(by_example.var((2, 3), correction=0), torch.ones(20, channels).double())


def test_no_preparation_comes_twice_nor_is_the_given_one() -> None:
    given = Preprocessing(resize=32, mean=COLOR["mean = std = 0.5"][0], std=COLOR["mean = std = 0.5"][1])
    made = image_preparations(given, maximum=4095, data=((0.5,) * 3, (0.2,) * 3), training=None)
    assert given not in made.values()
    assert len(set(map(repr, made.values()))) == len(made)
    assert {item.resize for item in made.values()} == {32}
    assert {item.maximum for item in made.values()} == {4095, None}


def test_arrays_of_a_usual_range_go_back_to_it() -> None:
    x = pixels(3)
    arrays = normalized(x)
    by_channel = arrays.transpose(0, 1).flatten(1)
    ends = tuple(by_channel.amin(1).tolist()), tuple(by_channel.amax(1).tolist())
    (back, *_) = unit_ranges((3, 6, 6), *ends)
    torch.testing.assert_close(prepare_arrays(arrays, back), x, atol=1e-6, rtol=0)
    assert unit_ranges((3, 6, 6), (-50.0,) * 3, (900.0,) * 3) == ()
