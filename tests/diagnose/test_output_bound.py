"""Output bound: the inequality and when it is tight; what was seen, by numpy in float64; a network left as it was."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from calibrate.diagnose import bound, bounded, output_bound
from calibrate.nn import BatchGroupNorm, GhostBatchNorm
from calibrate.stats import IterableBatches
from calibrate.steps import LayerBound, OutputBound
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.networks import Mixed, Tied, convolutional, warmed_up
from tests.builders.states import assert_untouched, snapshot
from tests.builders.watched import by_channel, inputs, noise_images


def probe(model: nn.Module, x: Tensor, size: int) -> dict[str, LayerBound]:
    found = output_bound(model, IterableBatches(x.split(size), None), bounded(find_sites(model)), size)
    return {layer.name: layer for layer in found}


class TwoSizes(nn.Module):
    """One layer, called with maps of two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(nn.functional.max_pool2d(self.norm(x), 4)).flatten(1)


@pytest.mark.parametrize(("elements", "tight"), [(2, 1.0), (4, 1.732), (8, 2.646), (32, 5.568), (128, 11.269)])
def test_one_outlier_attains_the_bound(elements: int, tight: float) -> None:
    assert bound(elements) == pytest.approx(tight, abs=5e-4)
    x = torch.zeros(elements, 1, dtype=torch.float64)
    x[0] = 1e3
    y = nn.BatchNorm1d(1, eps=1e-9).double().train()(x)
    assert float(y.detach().abs().max()) == pytest.approx(bound(elements), rel=1e-9)
    (layer,) = probe(nn.Sequential(nn.BatchNorm1d(1, eps=1e-9)).double(), x, elements).values()
    assert layer.training == pytest.approx((-1 / bound(elements), bound(elements)), rel=1e-9)
    assert (layer.elements, layer.bound) == (elements, bound(elements))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12),
    st.floats(1e-12, 10),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_no_output_in_training_passes_the_bound(values: list[float], eps: float, gamma: float, beta: float) -> None:
    layer = nn.BatchNorm1d(1, eps=eps).double().train()
    nn.init.constant_(layer.weight, gamma)
    nn.init.constant_(layer.bias, beta)
    y = layer(torch.tensor(values, dtype=torch.float64)[:, None]).detach()
    assert float((y - beta).abs().max()) <= abs(gamma) * bound(len(values)) * (1 + 1e-9) + 1e-9


def test_one_element_can_only_be_the_mean() -> None:
    assert bound(1) == 0


@pytest.mark.parametrize("size", [32, 5, 2])
@pytest.mark.parametrize("build", [convolutional, Tied, Mixed, TwoSizes])
def test_is_what_numpy_sees(build: Callable[[], nn.Module], size: int) -> None:
    model = warmed_up(build()).double().train()
    for site in bounded(find_sites(model)):
        site.module.running_var *= 0.02
    x = noise_images(32)
    before = snapshot(model)
    found = probe(model, x, size)
    assert_untouched(model, before)
    batches = x.split(size)
    whole = [batch for batch in batches if len(batch) == size]
    inferred, trained = inputs(model, batches), inputs(model, whole, training=True)
    names = {site.name for site in bounded(find_sites(model))}
    assert list(found) == [name for name in inferred if name in names]
    for name, layer in found.items():
        norm = model.get_submodule(name)
        mean, variance = norm.running_mean.numpy()[:, None], norm.running_var.numpy()[:, None]
        outside, spans = [], []
        for call in inferred[name]:
            z = (by_channel([call]) - mean) / np.sqrt(variance + norm.eps)
            outside.append(np.abs(z) > np.sqrt(size * call.shape[2] - 1))
            spans.append((z.min(), z.max()))
        everything = np.concatenate(outside, 1)
        assert layer.inference == pytest.approx((min(low for low, _ in spans), max(high for _, high in spans)))
        assert layer.outside == pytest.approx(everything.mean(), abs=1e-15)
        assert layer.channels_outside == everything.any(1).sum()
        assert layer.elements == size * min(call.shape[2] for call in inferred[name])
        own = [by_channel([call]) for call in trained[name]]
        z = [(v - v.mean(1)[:, None]) / np.sqrt(v.var(1)[:, None] + norm.eps) for v in own]
        assert layer.training == pytest.approx((min(v.min() for v in z), max(v.max() for v in z)), rel=1e-9)
    assert size > 5 or any(layer.outside for layer in found.values()), "the case is to have something outside"


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(precision: torch.dtype) -> None:
    model = warmed_up(convolutional()).to(precision)
    x = noise_images().to(precision)
    found = probe(model, x, 8)
    for name, calls in inputs(model, x.split(8)).items():
        norm = model.get_submodule(name)
        mean, variance = norm.running_mean.double().numpy()[:, None], norm.running_var.double().numpy()[:, None]
        z = (by_channel(calls) - mean) / np.sqrt(variance + norm.eps)
        assert found[name].inference == pytest.approx((z.min(), z.max()), rel=1e-12)


def test_scale_and_shift_of_a_layer_are_no_matter_to_it() -> None:
    model = warmed_up(convolutional())
    plain = probe(model, noise_images().float(), 8)["4"]
    nn.init.zeros_(model[4].weight)
    assert probe(model, noise_images().float(), 8)["4"] == plain
    model[4].weight = model[4].bias = None
    assert probe(model, noise_images().float(), 8)["4"] == plain


def test_examples_that_weigh_in_are_normalised_by_the_mixture() -> None:
    model = warmed_up(convolutional()).double()
    model = weigh_examples_(model, find_sites(model), 0.2)
    found = probe(model, noise_images(), 8)
    for name, calls in inputs(model, noise_images().split(8)).items():
        layer = model.get_submodule(name)
        maps = [torch.from_numpy(call)[..., None] for call in calls]
        with torch.no_grad():
            y = torch.cat([layer(map_) for map_ in maps])
        per_channel = (1, -1, 1, 1)
        z = ((y - layer.bias.view(per_channel)) / layer.weight.view(per_channel)).detach()
        assert found[name].inference == pytest.approx((float(z.min()), float(z.max())), rel=1e-9)


def test_enough_examples_in_a_batch_are_enough_and_one_fewer_is_not() -> None:
    narrow = warmed_up(convolutional())
    narrow[4].running_var *= 0.01
    vectors = nn.Sequential(nn.BatchNorm1d(1))
    for model, name, x in ((narrow, "4", noise_images(4).float()), (vectors, "0", torch.tensor([[0.0], [3.0]]))):
        needed = probe(model, x, 4)[name].sufficient_batch
        assert needed is not None
        assert needed > 2
        assert probe(model, x, needed)[name].outside == 0
        assert probe(model, x, needed - 1)[name].outside > 0


def test_without_a_whole_batch_only_inference_is_seen() -> None:
    (layer, _) = probe(convolutional(), noise_images(5).float(), 8).values()
    assert layer.training is None
    assert layer.inference is not None


def test_what_is_no_number_is_outside_and_nothing_of_it_reaches_json() -> None:
    x = noise_images(8).float()
    x[3] = float("inf")
    layers = tuple(probe(convolutional(), x, 8).values())
    assert all((layer.inference, layer.training, layer.sufficient_batch) == (None, None, None) for layer in layers)
    assert [layer.channels_outside for layer in layers] == [4, 8]
    assert [layer.outside for layer in layers] == [1 / 8, 1 / 8]
    result = OutputBound(tuned=False, images=8, train_batch_size=8, training_images=8, layers=layers, left_out=("bn",))
    assert OutputBound.model_validate_json(result.model_dump_json()) == result


def test_layers_that_train_in_another_way_have_no_such_bound() -> None:
    others = [
        nn.GroupNorm(2, 4),
        BatchGroupNorm(2, 4),
        GhostBatchNorm(4, 2),
        FrozenBatchNorm2d(4),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.BatchNorm2d(4, eps=0.0),
    ]
    assert bounded(find_sites(nn.Sequential(*others))) == ()
    assert [site.name for site in bounded(find_sites(nn.Sequential(*others, nn.SyncBatchNorm(4))))] == ["6"]


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_everything_is_restored_after_an_error(fails_at: int) -> None:
    model = warmed_up(Mixed()).train()
    model.maps.eval()
    calls = []

    def fail(*_: object) -> None:
        calls.append(model.dropout.training)
        if len(calls) == fails_at:
            raise KeyboardInterrupt

    handle = model.head.register_forward_hook(fail)
    before = snapshot(model)
    with pytest.raises(KeyboardInterrupt):
        probe(model, noise_images(12).float(), 4)
    assert_untouched(model, before)
    assert not any(calls), "dropout never trains"
    handle.remove()
