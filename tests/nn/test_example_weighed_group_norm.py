"""Laws of inference example weighing of GroupNorm, against a reference by raw moments."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from calibrate.nn import ExampleWeighedBatchNorm, ExampleWeighedGroupNorm
from tests import reference
from tests.builders.networks import draw_norm_

DTYPES = [(torch.float64, 1e-9), (torch.float32, 2e-5), (torch.float16, 4e-3), (torch.bfloat16, 3e-2)]
POSITIONS = [(), (1,), (7,), (1, 1), (4, 5), (2, 3, 2)]


def layer_of(groups: int, channels: int, alpha: float, dtype: torch.dtype = torch.float32) -> ExampleWeighedGroupNorm:
    """A trained layer with moments, in evaluation mode; the channels of a group differ in their means."""
    return draw_norm_(ExampleWeighedGroupNorm(groups, channels, alpha, dtype=dtype).eval(), seed=channels)


def expected(layer: Any, x: torch.Tensor) -> torch.Tensor:
    tensors = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    numbers = (t.detach().double().numpy() for t in tensors)
    y = reference.example_weighed_group(x.double().numpy(), layer.num_groups, *numbers, layer.eps, float(layer.alpha))
    return torch.from_numpy(y)


@given(
    groups=st.sampled_from([1, 2, 3, 6]),
    per_group=st.sampled_from([1, 2, 5]),
    batch=st.sampled_from([1, 3]),
    positions=st.sampled_from(POSITIONS),
    alpha=st.one_of(st.floats(0, 0.95), st.sampled_from([0.0, 0.9, 0.95])),
    precision=st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=150)
def test_equals_the_reference(
    groups: int, per_group: int, batch: int, positions: tuple[int, ...], alpha: float, precision: Any
) -> None:
    """In half precision the reference sees the same rounded input and parameters."""
    dtype, tolerance = precision
    layer = layer_of(groups, groups * per_group, alpha, dtype)
    generator = torch.Generator().manual_seed(1)
    x = (torch.randn(batch, groups * per_group, *positions, generator=generator, dtype=torch.float64) * 2 + 0.5).to(
        dtype
    )
    y = layer(x)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    torch.testing.assert_close(y.double(), expected(layer, x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [dtype for dtype, _ in DTYPES])
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_alpha_1_is_group_norm_bit_for_bit(positions: tuple[int, ...], dtype: torch.dtype, affine: bool) -> None:
    plain = nn.GroupNorm(3, 6, affine=affine, dtype=dtype).eval()
    layer = ExampleWeighedGroupNorm.from_group_norm(plain)
    layer.running_mean.fill_(7.0)  # type: ignore[union-attr]  (nothing of the moments comes through)
    x = torch.randn(2, 6, *positions, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(layer(x), plain(x))


def test_alpha_nearly_1_is_nearly_group_norm() -> None:
    """The formula itself reaches GroupNorm, not only the shortcut."""
    layer = layer_of(2, 6, 1 - 1e-12, torch.float64)
    x = torch.randn(3, 6, 5, 5, dtype=torch.float64)
    plain = nn.functional.group_norm(x, 2, layer.weight, layer.bias, layer.eps)
    torch.testing.assert_close(layer(x), plain, rtol=1e-9, atol=1e-9)


def test_alpha_0_is_one_affine_function_whatever_the_example() -> None:
    layer = layer_of(2, 6, 0.0, torch.float64)
    x = torch.randn(3, 6, 5, 5, dtype=torch.float64)
    lone = torch.cat([layer(x[:1, :, :1, :1]), layer(x[1:2, :, 2:3, 2:3])])
    together = layer(x)
    torch.testing.assert_close(lone[0], together[0, :, :1, :1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lone[1], together[1, :, 2:3, 2:3], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.95])
def test_a_group_of_one_channel_is_batch_norm_s(alpha: float) -> None:
    layer = layer_of(6, 6, alpha, torch.float64)
    batch_norm = ExampleWeighedBatchNorm(6, alpha, dtype=torch.float64).eval()
    batch_norm.load_state_dict({**batch_norm.state_dict(), **layer.state_dict()})
    x = torch.randn(3, 6, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), batch_norm(x), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.95])
def test_keeps_its_digits_where_the_mean_is_1000_standard_deviations(alpha: float) -> None:
    layer = layer_of(2, 4, alpha)
    with torch.no_grad():
        layer.running_mean.fill_(1000.0)  # type: ignore[union-attr]
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2)) + 1000
    torch.testing.assert_close(layer(x).double(), expected(layer, x), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_does_not_matter(layout: torch.memory_format) -> None:
    layer = layer_of(2, 6, 0.4)
    x = torch.randn(3, 6, 4, 5)
    torch.testing.assert_close(layer(x.to(memory_format=layout)).double(), expected(layer, x), rtol=2e-5, atol=2e-5)


def test_trains_as_group_norm_does_and_leaves_the_moments() -> None:
    plain = nn.GroupNorm(2, 6)
    layer = ExampleWeighedGroupNorm.from_group_norm(copy.deepcopy(plain), 0.3)
    before = copy.deepcopy(layer.state_dict())
    x = torch.randn(3, 6, 5, 5)
    assert layer.training
    assert torch.equal(layer(x), plain(x))
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())


def test_the_state_dict_round_trips_and_a_plain_one_lacks_the_moments() -> None:
    layer, other = layer_of(2, 6, 0.3), ExampleWeighedGroupNorm(2, 6).eval()
    assert sorted(layer.state_dict()) == ["alpha", "bias", "running_mean", "running_var", "weight"]
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 6, 3)
    assert torch.equal(other(x), layer(x))
    with pytest.raises(RuntimeError, match="running_mean"):
        other.load_state_dict(nn.GroupNorm(2, 6).state_dict())


@pytest.mark.parametrize("alpha", [torch.zeros(6), torch.zeros(2), torch.zeros(1)], ids=["channel", "group", "one"])
def test_alpha_is_one_number(alpha: torch.Tensor) -> None:
    layer = ExampleWeighedGroupNorm(2, 6)
    with pytest.raises(ValueError, match=r"give one number, as a group's statistics span its channels"):
        layer.alpha = alpha
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        layer.alpha = 1.5  # type: ignore[assignment]


def test_made_from_a_half_precision_layer_the_moments_are_single() -> None:
    """A variance above 65504, which float16 cannot hold, is nothing unusual before a GroupNorm."""
    layer = ExampleWeighedGroupNorm.from_group_norm(nn.GroupNorm(1, 2).half().eval(), 0.5)
    layer.running_var.fill_(1e6)  # type: ignore[union-attr]
    x = (torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0)) * 1000).half()
    np.testing.assert_allclose(layer(x).double().detach(), expected(layer, x).detach(), rtol=4e-3, atol=4e-3)


def test_it_says_what_it_is() -> None:
    assert repr(ExampleWeighedGroupNorm(2, 6, 0.25)) == (
        "ExampleWeighedGroupNorm(2, 6, eps=1e-05, affine=True, alpha=0.25)"
    )
