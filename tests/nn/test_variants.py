"""Laws of every variant of batch normalisation, against float64 references written from the formulas."""

import copy
import io
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from calibrate import nn as layers
from tests.builders.variants import CASES, C, Case, draw, redrawn
from tests.nn import variants

POSITIONS = [(), (5,), (4, 3), (1, 1), (2, 3, 2)]
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def state_of(layer: nn.Module) -> variants.State:
    return {name: tensor.double().numpy().copy() for name, tensor in layer.state_dict().items() if name != "alpha"}


def step(case: Case, layer: Any, x: Tensor, state: variants.State, seed: int) -> tuple[Tensor, Tensor]:
    """The layer's output and the reference's, which moves ``state``; both see the same draw."""
    drawn = {}
    if case.layer is layers.StochNorm:
        torch.manual_seed(seed)
        drawn = {"drawn": (torch.rand(C) < layer.p).numpy()}
    torch.manual_seed(seed)
    actual = layer(x)
    settings_ = {**case.settings, **drawn}
    return actual, torch.from_numpy(
        case.reference(x.double().numpy(), state, layer.training, layer.momentum, **settings_)
    )


def assert_follows_the_reference(
    case: Case, n: int, positions: tuple[int, ...], dtype: torch.dtype, momentum: float | None, tolerance: float
) -> None:
    """Three steps of training, then inference: outputs and running statistics."""
    layer = redrawn(case.build(momentum=momentum, dtype=dtype))
    state = state_of(layer)
    close = partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)
    for seed in range(3):
        actual, expected = step(case, layer, draw(n, positions, seed, dtype), state, seed)
        assert actual.dtype == dtype
        close(actual.detach().double(), expected)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        close(getattr(layer, name).double(), torch.as_tensor(state[name], dtype=torch.float64))
    close(*(y.detach().double() for y in step(case, layer.eval(), draw(n, positions, 9, dtype), state, 0)))


@cases
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-6)])
def test_three_steps_and_inference_equal_the_reference(
    case: Case, positions: tuple[int, ...], momentum: float | None, dtype: torch.dtype, tolerance: float
) -> None:
    assert_follows_the_reference(case, 6, positions, dtype, momentum, tolerance)


@given(name=st.sampled_from(sorted(CASES)), n=st.integers(2, 9), positions=st.lists(st.integers(1, 4), max_size=3))
@settings(max_examples=80, deadline=None)
def test_any_batch_and_shape_equals_the_reference(name: str, n: int, positions: list[int]) -> None:
    assert_follows_the_reference(CASES[name], n, tuple(positions), torch.float64, 0.2, 1e-10)


@cases
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("positions", [(), (2, 2)], ids=str)
def test_gradients_are_those_of_the_formula(case: Case, training: bool, positions: tuple[int, ...]) -> None:
    limits = {"r_max": 1.001, "d_max": 0.001} if case.layer is layers.BatchRenorm else {}  # reached by all channels
    layer = redrawn(case.build(dtype=torch.float64, **limits)).train(training)
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def once(x: Tensor, *values: Tensor) -> Tensor:
        torch.manual_seed(3)  # of the draw
        fresh = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        return torch.func.functional_call(layer, {**fresh, **dict(zip(names, values, strict=True))}, (x,))

    assert torch.autograd.gradcheck(once, (draw(4, positions).requires_grad_(), *parameters), fast_mode=bool(positions))


@cases
@pytest.mark.parametrize("training", [True, False])
def test_a_single_value_per_channel_is_refused_where_batch_norm_refuses_it(case: Case, training: bool) -> None:
    for shape in [(1, C), (1, C, 1), (1, C, 1, 1), (1, C, 3), (0, C, 3)]:
        outcomes = []
        for layer in (redrawn(nn.BatchNorm2d(C)), redrawn(case.build())):
            layer._check_input_dim = layer._check_input_dim if isinstance(layer, case.layer) else lambda _: None
            try:
                outcomes.append(layer.train(training)(torch.randn(shape)).shape)
            except ValueError as refusal:
                assert "more than 1 value per channel" in str(refusal)  # noqa: PT017
                outcomes.append(None)
        assert outcomes[0] == outcomes[1], shape


@cases
def test_a_batch_norm_state_dict_loads_and_leaves_other_parameters(case: Case) -> None:
    layer, other = redrawn(case.build()), redrawn(nn.BatchNorm2d(C), seed=5)
    own = {name: tensor.clone() for name, tensor in layer.state_dict().items() if name not in other.state_dict()}
    layer.load_state_dict(other.state_dict())
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, own.get(name, other.state_dict().get(name)))


@cases
def test_the_state_dict_and_a_copy_compute_the_same(case: Case) -> None:
    layer = redrawn(case.build()).eval()
    other = case.build().eval()
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    x = draw(3, (2, 2), dtype=torch.float32)
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


@cases
def test_a_state_dict_without_a_batch_norm_parameter_is_refused(case: Case) -> None:
    state = case.build().state_dict()
    del state["weight"]
    with pytest.raises(RuntimeError, match="weight"):
        case.build().load_state_dict(state)


@cases
@pytest.mark.parametrize("training", [True, False])
def test_memory_layout_changes_nothing(case: Case, training: bool) -> None:
    x = draw(6, (4, 3))
    outputs = []
    for values in (x, x.contiguous(memory_format=torch.channels_last)):
        layer = redrawn(case.build(dtype=torch.float64)).train(training)
        torch.manual_seed(0)
        outputs.append(layer(values))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-12, atol=1e-12)


@cases
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("converted", [True, False], ids=["converted", "autocast"])
def test_half_precision_reduces_in_float32(case: Case, half: torch.dtype, converted: bool) -> None:
    """A sum over 4096 half-precision values near 40 would overflow or lose all digits."""
    layer, exact = (redrawn(case.build()) for _ in range(2))
    x = (draw(4, (64, 64), dtype=torch.float32) + 40).to(half)
    if converted:
        layer.to(half)
        exact.load_state_dict({name: value.to(torch.float32) for name, value in layer.state_dict().items()})
    torch.manual_seed(0)
    y = layer(x)
    torch.manual_seed(0)
    assert y.dtype == half
    tolerance = 8 * torch.finfo(half).eps
    torch.testing.assert_close(y.float(), exact(x.float()), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(
        layer.running_mean.float(), exact.running_mean, rtol=torch.finfo(half).eps, atol=torch.finfo(half).eps
    )


@pytest.mark.parametrize("name", ["ghost 2", "group", "renorm", "batch-instance", "instance-batch", "A1", "input"])
def test_digits_hold_far_from_zero(name: str) -> None:
    """Float32 at a mean of 1000 standard deviations: the reference sees the same rounded input."""
    case = CASES[name]
    layer = redrawn(case.build())
    state = state_of(layer)
    x = draw(6, (8, 8), dtype=torch.float32) + 1700
    actual, expected = step(case, layer, x, state, 0)
    torch.testing.assert_close(actual.detach().double(), expected, rtol=3e-4, atol=3e-4)


@cases
def test_the_wrong_number_of_channels_is_refused(case: Case) -> None:
    for shape in [(4,), (4, 1), (4, C + 1, 3)]:
        with pytest.raises(ValueError, match=r"give \(N, C\) or \(N, C, \*\) with C = 4"):
            case.build()(torch.zeros(shape))


@cases
def test_parameters_start_anew_when_reset(case: Case) -> None:
    fresh, used = case.build(), redrawn(case.build())
    used.reset_parameters()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(used.state_dict()[name], tensor)


@cases
def test_a_layer_without_affine_parameters_has_gamma_1_and_beta_0(case: Case) -> None:
    if case.layer is layers.InputBatchNorm:
        with pytest.raises(ValueError, match="leave affine out"):
            case.build(affine=False)
        return
    bare, full = case.build(affine=False), case.build()
    x = draw(6, (2, 2), dtype=torch.float32)
    outputs = []
    for layer in (bare, full):
        torch.manual_seed(0)
        outputs.append(layer(x))
    assert torch.equal(*outputs)
    assert bare.weight is None


@pytest.mark.parametrize(
    ("name", "training"), [("stoch", True), ("renorm", True), ("group weighed", True), ("group weighed", False)]
)
def test_compiles_without_a_graph_break(name: str, training: bool) -> None:
    """Traced as ``torch.compile`` does, run without its code generator; statistics move as in eager mode."""
    torch.compiler.reset()
    layer = redrawn(CASES[name].build()).train(training)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager")
    x = draw(6, (2, 2), dtype=torch.float32)
    torch.manual_seed(0)
    expected = layer(x)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(x), expected, rtol=1e-6, atol=1e-6)
    for key, value in layer.state_dict().items():
        torch.testing.assert_close(compiled._orig_mod.state_dict()[key], value, rtol=1e-6, atol=1e-6)


@cases
def test_gradients_hold_far_from_zero(case: Case) -> None:
    """Float32 gradients at a mean of 100 standard deviations agree with float64's for the same rounded input."""
    gradients = []
    for dtype in (torch.float32, torch.float64):
        layer = redrawn(case.build(dtype=dtype))
        with torch.no_grad():
            layer.running_mean.add_(100)
        x = (draw(6, (4, 4), dtype=torch.float32) + 100).to(dtype).requires_grad_()
        torch.manual_seed(0)
        layer(x).pow(3).sum().backward()
        assert x.grad is not None
        gradients.append(x.grad.double())
    torch.testing.assert_close(*gradients, rtol=2e-3, atol=2e-4 * float(gradients[1].abs().max()))


@cases
def test_two_steps_share_one_backward_pass(case: Case) -> None:
    layer = redrawn(case.build())
    x = draw(6, (2, 2), dtype=torch.float32).requires_grad_()
    (layer(x) + layer(x)).sum().backward()
    assert x.grad is not None
