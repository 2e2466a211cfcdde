"""Pooled moments against extended-precision numpy, however the data are split and ordered."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from calibrate.stats import Moments, pooled_inputs


def pooled(parts: list[torch.Tensor]) -> Moments:
    moments = Moments.of(parts[0])
    for part in parts[1:]:
        moments = moments.merge(Moments.of(part))
    return moments


def assert_right(moments: Moments, x: torch.Tensor, rtol: float) -> None:
    values = x.double().numpy().astype(np.longdouble)
    axes = (0, *range(2, x.dim()))
    assert moments.count == values.size // values.shape[1]
    assert moments.mean.dtype == moments.variance.dtype == torch.float64
    np.testing.assert_allclose(moments.mean.numpy(), values.mean(axes).astype(np.float64), rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(moments.variance.numpy(), values.var(axes).astype(np.float64), rtol=rtol, atol=1e-12)


@given(
    shape=st.sampled_from([(1, 2), (7, 3), (5, 2, 4), (6, 3, 2, 3), (2, 1, 2, 1, 3)]),
    mean=st.sampled_from([0.0, -3.0, 1e4]),
    sd=st.sampled_from([0.0, 1e-2, 1.0, 50.0]),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]),
    cuts=st.lists(st.integers(1, 6), max_size=3),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_any_split_in_any_order_is_the_whole(
    shape: tuple[int, ...], mean: float, sd: float, dtype: torch.dtype, cuts: list[int], seed: int
) -> None:
    """Mean 1e4 and variance 1e-4 is where a difference of squares keeps no digit; in halves it is rounded away."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(shape, generator=generator, dtype=torch.float64) * sd + mean).to(dtype)
    parts = [part for part in torch.tensor_split(x, sorted(cut for cut in cuts if cut < len(x))) if len(part)]
    order = torch.randperm(len(parts), generator=generator).tolist()
    assert_right(pooled([parts[place] for place in order]), x, 1e-7)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_batch_too_large_to_be_taken_at_once_is_the_whole(layout: torch.memory_format) -> None:
    x = torch.randn(25, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 1e-2 + 1e3
    x[12:] += 5  # one half is not like the other
    assert_right(Moments.of(x.to(memory_format=layout)), x, 1e-11)


@pytest.mark.parametrize("value", [torch.inf, torch.nan, 3e38])
def test_what_is_not_finite_stays_so_and_the_largest_numbers_are(value: float) -> None:
    x = torch.full((4, 2), value)
    x[:, 1] = torch.arange(4)
    moments = Moments.of(x)
    assert moments.mean[0].item() == pytest.approx(value, rel=1e-6, nan_ok=True)
    assert moments.variance[0].isfinite() == (value == 3e38)
    assert (moments.mean[1].item(), moments.variance[1].item()) == (1.5, 1.25)


def test_the_variance_between_batches_counts_by_their_sizes() -> None:
    """Constant batches have no variance of their own: 9 zeros and one 10 have mean 1 and variance 9."""
    moments = pooled([torch.zeros(9, 1), torch.full((1, 1), 10.0)])
    assert (moments.count, moments.mean.item(), moments.variance.item()) == pytest.approx((10, 1, 9))


def test_many_small_merges_lose_nothing() -> None:
    x = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-2 + 1e4
    assert_right(pooled(list(x.split(1))), x, 1e-8)


def test_a_layer_used_twice_pools_both_and_one_not_used_has_none() -> None:
    layer, idle = nn.GroupNorm(1, 2), nn.GroupNorm(1, 2)
    x = torch.randn(6, 2, 3)
    with pooled_inputs([layer, idle]) as moments:
        layer(x[:2])
        layer(x[2:])
    assert_right(moments[layer], x, 1e-12)
    assert idle not in moments


def test_the_hooks_are_gone_also_after_a_failure() -> None:
    layer = nn.GroupNorm(1, 2)
    with pytest.raises(RuntimeError), pooled_inputs([layer]):
        layer(torch.randn(2, 3, 4))
    assert not layer._forward_pre_hooks
