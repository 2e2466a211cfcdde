"""Laws of inference example weighing, against a float64 reference written from the paper's formula."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from calibrate.nn import ExampleWeighedBatchNorm
from calibrate.nn.normalization import blend
from tests import reference
from tests.builders.networks import draw_norm_

SHAPES = [(4, 3), (1, 3), (2, 3, 7), (2, 3, 5, 4), (1, 3, 1, 1), (3, 3, 2, 3, 2), (1, 3, 6, 6)]


@pytest.fixture(params=[True, False], ids=["recorded", "unrecorded"], autouse=True)
def _gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every law holds whether gradients are recorded or not, which takes another kernel."""
    with torch.set_grad_enabled(request.param):
        yield


def trained_batch_norm(channels: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.BatchNorm2d:
    return draw_norm_(nn.BatchNorm2d(channels, dtype=dtype).eval(), seed)


def parameters(layer: Any) -> tuple[Any, ...]:
    tensors = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    return (*(t.detach().double().numpy() for t in tensors), layer.eps)


def expected(layer: Any, x: torch.Tensor, alpha: Any) -> torch.Tensor:
    return torch.from_numpy(reference.example_weighed(x.double().numpy(), *parameters(layer), alpha))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("alpha", [0.003, 0.1, 0.5, 0.89, 0.95, 1.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 4e-6)])
def test_equals_the_reference(shape: tuple[int, ...], alpha: float, dtype: torch.dtype, tolerance: float) -> None:
    batch_norm = trained_batch_norm(3, dtype)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 + 0.5
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, alpha)(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.double(), expected(batch_norm, x, alpha), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "layout"), [((2, 3, 5, 4), torch.channels_last), ((3, 3, 2, 3, 2), torch.channels_last_3d)]
)
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.95])
def test_the_layout_in_memory_stays_and_changes_no_value(
    shape: tuple[int, ...], layout: torch.memory_format, alpha: float
) -> None:
    batch_norm = trained_batch_norm(3)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(memory_format=layout)
    given = x.clone()
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, alpha)(x)
    assert y.is_contiguous(memory_format=layout)
    assert torch.equal(x, given)
    torch.testing.assert_close(y.double(), expected(batch_norm, x, alpha), rtol=4e-6, atol=4e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5, 4), (1, 3, 1, 1)], ids=str)
def test_alpha_0_is_batch_norm_bit_for_bit(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    batch_norm = trained_batch_norm(3, dtype)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    plain = nn.functional.batch_norm(
        x, batch_norm.running_mean, batch_norm.running_var, batch_norm.weight, batch_norm.bias, eps=batch_norm.eps
    )
    assert torch.equal(ExampleWeighedBatchNorm.from_batch_norm(batch_norm, 0.0)(x), plain)


def test_alpha_1_is_instance_norm_with_batch_norm_s_affine() -> None:
    batch_norm = trained_batch_norm(3)
    x = torch.randn(4, 3, 6, 5) * 3 - 1
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, 1.0)(x)
    instance = nn.functional.instance_norm(x, weight=batch_norm.weight, bias=batch_norm.bias, eps=batch_norm.eps)
    torch.testing.assert_close(y, instance, rtol=2e-6, atol=4e-6)


def test_alpha_1_without_positions_is_the_constant_beta() -> None:
    batch_norm = trained_batch_norm(3)
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, 1.0)(torch.randn(4, 3))
    torch.testing.assert_close(y, batch_norm.bias.expand(4, 3), rtol=0, atol=1e-5)


@given(rm=st.floats(-50, 50), rv=st.floats(0.01, 100), m=st.floats(-50, 50), v=st.floats(0, 100), alpha=st.floats(0, 1))
def test_blend_is_the_variance_of_the_mixture(rm: float, rv: float, m: float, v: float, alpha: float) -> None:
    f64 = {"dtype": torch.float64}
    offset, var = blend(
        torch.tensor(rv, **f64), torch.tensor(m - rm, **f64), torch.tensor(v, **f64), torch.tensor(alpha, **f64)
    )
    assert float(rm + offset) == pytest.approx((1 - alpha) * rm + alpha * m, abs=1e-9)
    assert float(var) == pytest.approx(reference.mixture_variance(rm, rv, m, v, alpha), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.bfloat16, 2e-2)])
def test_keeps_its_digits_where_the_mean_is_1000_standard_deviations(
    alpha: float, dtype: torch.dtype, tolerance: float
) -> None:
    """The reference sees the same rounded input, so what is tested is the arithmetic of the layer."""
    batch_norm = trained_batch_norm(3)
    with torch.no_grad():
        assert batch_norm.running_mean is not None
        assert batch_norm.running_var is not None
        batch_norm.running_mean.fill_(1000.0)
        batch_norm.running_var.fill_(1.0 if dtype == torch.float32 else 16.0)
    spread = 1.0 if dtype == torch.float32 else 4.0
    x = (torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * spread + 1000).to(dtype)
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, alpha)(x)
    torch.testing.assert_close(y.double(), expected(batch_norm, x, alpha), rtol=tolerance, atol=tolerance)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("alpha", [0.5, 0.89, 0.95, 1.0])
def test_keeps_its_digits_for_an_example_100_standard_deviations_away(alpha: float) -> None:
    batch_norm = trained_batch_norm(3)
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(3)) + 100
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, alpha)(x)
    torch.testing.assert_close(y.double(), expected(batch_norm, x, alpha), rtol=2e-5, atol=2e-5)


@given(seed=st.integers(0, 2**16), alpha=st.floats(0, 1))
@settings(max_examples=25)
def test_an_example_s_output_does_not_depend_on_its_batch(seed: int, alpha: float) -> None:
    layer = ExampleWeighedBatchNorm.from_batch_norm(trained_batch_norm(3, torch.float64), alpha)
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(layer(x)[3:4], layer(x[3:4]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(x.flip(0)).flip(0), layer(x), rtol=1e-12, atol=1e-12)


def test_takes_one_alpha_per_channel() -> None:
    batch_norm = trained_batch_norm(3, torch.float64)
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    alpha = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, alpha)(x)
    torch.testing.assert_close(y, expected(batch_norm, x, alpha.numpy()), rtol=1e-10, atol=1e-10)


def test_a_half_precision_model_loses_no_more_than_its_output_s_rounding() -> None:
    batch_norm = trained_batch_norm(3).half()
    x = (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4)) * 3).half()
    y = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, 0.2)(x)
    assert y.dtype == torch.float16
    torch.testing.assert_close(y.double(), expected(batch_norm, x, float(np.float32(0.2))), rtol=1e-3, atol=1e-3)


def test_trains_as_batch_norm_does() -> None:
    batch_norm = trained_batch_norm(3).train()
    layer = ExampleWeighedBatchNorm.from_batch_norm(copy.deepcopy(batch_norm), 0.3)
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(layer(x), batch_norm(x))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(layer, name), getattr(batch_norm, name))


def test_a_plain_batch_norm_checkpoint_loads_and_leaves_alpha() -> None:
    batch_norm = trained_batch_norm(3)
    layer = ExampleWeighedBatchNorm(3, alpha=0.25).eval()
    layer.load_state_dict(batch_norm.state_dict())
    assert float(layer.alpha) == 0.25
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(layer(x).double(), expected(batch_norm, x, 0.25), rtol=4e-6, atol=4e-6)


@pytest.mark.parametrize("alpha", [0.3, torch.tensor([0.1, 0.0, 0.9])], ids=["one", "per channel"])
def test_the_state_dict_round_trips(alpha: float | torch.Tensor) -> None:
    layer = ExampleWeighedBatchNorm.from_batch_norm(trained_batch_norm(3), alpha)
    other = ExampleWeighedBatchNorm(3).eval()
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(other(x), layer(x))
    assert other.alpha is not layer.alpha


def test_a_checkpoint_with_an_impossible_alpha_is_refused_by_name() -> None:
    state = {**ExampleWeighedBatchNorm(3).state_dict(), "alpha": torch.tensor(7.0)}
    with pytest.raises(RuntimeError, match=r"alpha: alpha is 7\.0; it is a weight"):
        ExampleWeighedBatchNorm(3).load_state_dict(state)


@pytest.mark.parametrize("change", ["assigned", "in place", "loaded", "copied"])
def test_every_way_of_changing_alpha_takes_effect(change: str) -> None:
    batch_norm = trained_batch_norm(3)
    layer = ExampleWeighedBatchNorm.from_batch_norm(batch_norm)
    x = torch.randn(2, 3, 5, 5)
    layer(x)
    if change == "assigned":
        layer.alpha = 0.4  # type: ignore[assignment]
    elif change == "in place":
        layer.alpha.fill_(0.4)
    elif change == "loaded":
        layer.load_state_dict({**layer.state_dict(), "alpha": torch.tensor(0.4)})
    else:
        layer.alpha.fill_(0.4)
        layer = copy.deepcopy(layer)
    torch.testing.assert_close(layer(x).double(), expected(batch_norm, x, 0.4), rtol=4e-6, atol=4e-6)
    layer.alpha = 0  # type: ignore[assignment]
    assert torch.equal(layer(x), batch_norm(x))


@pytest.mark.parametrize(
    ("alpha", "message"),
    [(1.5, "keep it in"), (-0.1, "keep it in"), (float("nan"), "keep it in"), (torch.zeros(4), "one for each of 3")],
)
def test_an_impossible_alpha_is_refused(alpha: float | torch.Tensor, message: str) -> None:
    layer = ExampleWeighedBatchNorm(3, alpha=0.1)
    with pytest.raises(ValueError, match=message):
        layer.alpha = alpha  # type: ignore[assignment]
    assert float(layer.alpha) == pytest.approx(0.1)


def test_a_layer_without_running_statistics_is_refused() -> None:
    with pytest.raises(ValueError, match="no running statistics"):
        ExampleWeighedBatchNorm.from_batch_norm(nn.BatchNorm2d(3, track_running_stats=False))


def test_gradients_are_those_of_the_formula() -> None:
    layer = ExampleWeighedBatchNorm.from_batch_norm(trained_batch_norm(2, torch.float64), 0.3)
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        assert torch.autograd.gradcheck(layer, (x,))


def test_an_input_without_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give \(N, C\)"):
        ExampleWeighedBatchNorm(3, alpha=0.1).eval()(torch.zeros(3))


def test_a_layer_made_in_inference_mode_weighs_too() -> None:
    with torch.inference_mode():
        batch_norm = trained_batch_norm(3)
        layer = ExampleWeighedBatchNorm.from_batch_norm(batch_norm, 0.25)
        x = torch.randn(2, 3, 5, 5)
        torch.testing.assert_close(layer(x).double(), expected(batch_norm, x, 0.25), rtol=4e-6, atol=4e-6)
