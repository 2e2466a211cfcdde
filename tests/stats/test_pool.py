"""The pool against extended-precision numpy, and against itself in every order of arrival."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats import Moments, Pool
from calibrate.stats.pool import PART


def parts_of(x: torch.Tensor, cuts: list[int], first: int) -> list[Pool]:
    edges = sorted({0, len(x), *(cut for cut in cuts if cut < len(x))})
    return [Pool.of(first + a, x[a:b]) for a, b in pairwise(edges)]


def total(parts: list[Pool]) -> Moments:
    pool = Pool()
    for part in parts:
        pool = pool.merge(part)
    return pool.total()


@given(
    shape=st.sampled_from([(1, 2), (37, 3), (16, 2, 4), (21, 3, 2, 3), (8, 1, 2, 1, 3)]),
    mean=st.sampled_from([0.0, -3.0, 1e4]),
    sd=st.sampled_from([0.0, 1e-2, 50.0]),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    cuts=st.lists(st.integers(1, 36), max_size=6),
    first=st.sampled_from([0, 1, 6, 1000]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_any_split_in_any_order_has_the_same_bits(
    shape: tuple[int, ...], mean: float, sd: float, dtype: torch.dtype, cuts: list[int], first: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(shape, generator=generator, dtype=torch.float64) * sd + mean).to(dtype)
    whole = Pool.of(first, x).total()
    parts = parts_of(x, cuts, first)
    shuffled = total([parts[place] for place in torch.randperm(len(parts), generator=generator).tolist()])
    assert (shuffled.count, whole.count) == (x[:, 0].numel(),) * 2
    assert torch.equal(shuffled.mean, whole.mean)
    assert torch.equal(shuffled.variance, whole.variance)
    values = x.double().numpy().astype(np.longdouble)
    axes = (0, *range(2, x.dim()))
    digits = 1e-12 if dtype == torch.float64 else 1e-7
    deviation = values.std(axes).astype(float)
    np.testing.assert_array_less(
        np.abs(whole.mean.numpy() - values.mean(axes).astype(float)), digits * deviation + 1e-12 * (abs(mean) + 1)
    )
    rtol = 1e-7 if dtype == torch.float64 else 1e-6
    np.testing.assert_allclose(whole.variance.numpy(), values.var(axes).astype(float), rtol=rtol, atol=1e-18)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_channels_last_is_another_layout_of_the_same_values(dtype: torch.dtype, tolerance: float) -> None:
    x = torch.randn(5, 3, 7, 9, dtype=dtype)
    one, other = Pool.of(0, x).total(), Pool.of(0, x.to(memory_format=torch.channels_last)).total()
    torch.testing.assert_close(one.variance, other.variance, rtol=tolerance, atol=0)


def test_values_whose_squares_overflow_are_taken_wider() -> None:
    x = 1e25 * torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = x.double().transpose(0, 1).flatten(1).var(1, correction=0)
    torch.testing.assert_close(Pool.of(0, x).total().variance, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_examples_too_many_to_be_taken_at_once_have_the_bits_they_have_alone(layout: torch.memory_format) -> None:
    """Of these examples ten are taken at once."""
    x = torch.randn(25, 3, 264, 264, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    assert PART // x[0].numel() == 10
    whole, alone = Pool.of(5, x).total(), total([Pool.of(5 + place, x[place : place + 1]) for place in range(25)])
    assert torch.equal(whole.mean, alone.mean)
    assert torch.equal(whole.variance, alone.variance)


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    first=st.sampled_from([0, 1, 6, 1000]),
    positions=st.sampled_from([(), (3,), (4, 5)]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_batches_that_stay_together_pool_to_the_same_in_any_order(
    sizes: list[int], first: int, positions: tuple[int, ...], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), 2, *positions, generator=generator, dtype=torch.float64) * 3 - 50
    edges = [0, *np.cumsum(sizes).tolist()]
    parts = [Pool.of_batch(first + a, x[a:b]) for a, b in pairwise(edges)]
    assert [part.examples for part in parts] == sizes
    found, shuffled = total(parts), total([parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()])
    assert torch.equal(found.mean, shuffled.mean)
    assert torch.equal(found.variance, shuffled.variance)
    exact = Pool.of(first, x).total()
    assert found.count == exact.count
    torch.testing.assert_close(found.mean, exact.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(found.variance, exact.variance, rtol=1e-10, atol=1e-12)
    assert {example for example in range(first + len(x) + 1) if example in parts[0]} == set(
        range(first, first + sizes[0])
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_batch_of_float32_has_its_digits_however_far_its_mean_is(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    x = (
        torch.randn(90, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1e-2, 1, 50])[:, None, None]
    )
    x = (x + torch.tensor([10.0, -1000, 0])[:, None, None]).to(dtype).to(memory_format=layout)
    found, exact = Pool.of_batch(0, x).total(), Pool.of(0, x).total()
    assert ((found.mean - exact.mean).abs() <= 1e-7 * exact.variance.sqrt()).all()
    torch.testing.assert_close(found.variance, exact.variance, rtol=1e-6, atol=0)


def test_a_pool_stays_small_and_knows_whom_it_has() -> None:
    pool = Pool()
    for first in range(3, 1003, 8):
        pool = pool.merge(Pool.of(first, torch.randn(8, 1)))
    assert len(pool.nodes) <= 2 * 10
    assert pool.examples == 1000
    assert [example for example in (0, 2, 3, 500, 1002, 1003) if example in pool] == [3, 500, 1002]


def test_no_example_counts_twice() -> None:
    pool = Pool.of(0, torch.randn(8, 1))
    with pytest.raises(ValueError, match="example 3 is in the pool already"):
        pool.merge(Pool.of(3, torch.randn(1, 1)))
