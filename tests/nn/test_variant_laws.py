"""What each variant equals, and what is its own: starts, draws, schedules, clamps, and what it refuses."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate import nn as layers
from tests.builders.variants import CASES, C, draw, redrawn
from tests.nn.variants import EPS


def without_gate(layer: Any) -> nn.Module:
    """``layer`` with γ divided by what its gate is where its weights on the input are 0."""
    with torch.no_grad():
        for name in ("center_weight", "scale_weight"):
            if hasattr(layer, name):
                getattr(layer, name).zero_()
        layer.weight.div_(torch.sigmoid(layer.scale_bias))
    return layer


def with_scaled_shift(layer: Any) -> nn.Module:
    with torch.no_grad():
        layer.bias.div_(layer.weight)
        if layer.form == "A2":
            layer.inner_weight.fill_(1)
    return layer


def with_gate_1(layer: Any) -> nn.Module:
    with torch.no_grad():
        layer.gate.fill_(1)
    return layer


def options(**settings: Any) -> dict[str, Any]:
    return {"eps": EPS, "momentum": 0.3, "dtype": torch.float64, **settings}


#: How to make of each layer a BatchNorm, with γ and β drawn as its own are; the last says that rv is another average.
EQUALS = {
    "stoch": (layers.StochNorm(C, p=1, **options()), lambda layer: layer),
    "switched": (layers.SwitchedBatchNorm(C, **options()), lambda layer: layer),
    "ghost": (layers.GhostBatchNorm(C, 6, **options()), lambda layer: layer),
    "group": (layers.BatchGroupNorm(C, C, 6, **options()), lambda layer: layer),
    "renorm": (layers.BatchRenorm(C, 1, 0, **options()), lambda layer: layer),
    "representative": (layers.RepresentativeBatchNorm(C, **options()), without_gate),
    "representative minus": (
        layers.RepresentativeBatchNorm(C, centering=False, instance_statistics=False, **options()),
        without_gate,
    ),
    "enhancement": (layers.InstanceEnhancementBatchNorm(C, **options()), without_gate),
    "enhancement minus": (layers.InstanceEnhancementBatchNorm(C, instance_statistics=False, **options()), without_gate),
    "batch-instance": (layers.BatchInstanceNorm(C, **options()), with_gate_1),
    "instance-batch": (layers.InstanceBatchNorm(C, 0.2, **options()), lambda layer: layer),
    "batch weighed": (layers.BatchWeighedBatchNorm(C, source_weight=1.0, **options()), lambda layer: layer),
    "batch weighed published": (
        layers.BatchWeighedBatchNorm(C, source_weight=1.0, variant="published", **options()),
        lambda layer: layer,
    ),
    "input": (layers.InputBatchNorm(C, **options()), lambda layer: layer),
    "A1": (layers.ScaledAffineBatchNorm(C, "A1", **options()), with_scaled_shift),
    "A2": (layers.ScaledAffineBatchNorm(C, "A2", **options()), with_scaled_shift),
}


@pytest.mark.parametrize("positions", [(), (3,), (3, 4), (2, 1, 3)], ids=str)
@pytest.mark.parametrize("name", EQUALS)
def test_equals_batch_norm_when_it_says_so(name: str, positions: tuple[int, ...]) -> None:
    layer, as_batch_norm = EQUALS[name]
    layer = redrawn(layer)
    batch_norm = nn.SyncBatchNorm(C, **options()) if not positions else nn.BatchNorm2d(C, **options())
    batch_norm._check_input_dim = lambda _: None
    batch_norm.load_state_dict(
        {key: value for key, value in layer.state_dict().items() if key in batch_norm.state_dict()}
    )
    layer = as_batch_norm(layer)
    for training in (True, True, False):
        x = draw(6, positions)
        torch.testing.assert_close(layer.train(training)(x), batch_norm.train(training)(x), rtol=1e-11, atol=1e-11)
        if name == "renorm":
            layer.running_var.copy_(batch_norm.running_var)  # another average
        for statistic in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(
                getattr(layer, statistic), getattr(batch_norm, statistic), rtol=1e-11, atol=1e-11
            )


@pytest.mark.parametrize("name", ["stoch", "switched", "switched to running", "ghost 2", "renorm", "input"])
def test_inference_is_batch_norm_bit_for_bit_where_it_says_so(name: str) -> None:
    layer = redrawn(CASES[name].build()).eval()
    x = draw(3, (4, 4), dtype=torch.float32)
    plain = F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
    assert torch.equal(layer(x), plain)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_batch_group_norm_is_group_norm(training: bool, groups: int) -> None:
    layer = redrawn(layers.BatchGroupNorm(groups, C, 1, alpha=1.0, **options())).train(training)
    x = draw(5, (3, 3))
    torch.testing.assert_close(layer(x), F.group_norm(x, groups, layer.weight, layer.bias, EPS), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("training", [True, False])
def test_instance_layers_are_instance_norm(training: bool) -> None:
    x = draw(5, (3, 3))
    mixed = redrawn(layers.BatchInstanceNorm(C, **options()))
    with torch.no_grad():
        mixed.gate.zero_()
    for layer in (mixed, redrawn(layers.InstanceBatchNorm(C, 1.0, **options()))):
        expected = F.instance_norm(x, weight=layer.weight, bias=layer.bias, eps=EPS)
        torch.testing.assert_close(layer.train(training)(x), expected, rtol=1e-11, atol=1e-11)


def test_group_norm_with_a_channel_a_group_is_instance_norm() -> None:
    x = draw(5, (3, 3), dtype=torch.float32)
    torch.testing.assert_close(nn.GroupNorm(C, C)(x), nn.InstanceNorm2d(C)(x), rtol=1e-6, atol=1e-6)


def test_gates_and_scales_start_where_the_papers_say() -> None:
    assert torch.sigmoid(layers.RepresentativeBatchNorm(1).scale_bias).item() == pytest.approx(0.731, abs=5e-4)
    assert torch.sigmoid(layers.InstanceEnhancementBatchNorm(1).scale_bias).item() == pytest.approx(0.269, abs=5e-4)
    layer = layers.InputBatchNorm(3, scale=0.1)
    assert layer.weight.tolist() == pytest.approx([0.058] * 3)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer.bias.tolist() == [0, 0, 0]


class TestStochNorm:
    def test_draws_with_probability_p_and_as_torch_s_generator_says(self) -> None:
        layer = layers.StochNorm(10_000, p=0.2, eps=1e-9)
        layer.running_mean.fill_(5.0)
        x = torch.randn(8, 10_000)
        torch.manual_seed(1)
        first = layer(x)
        by_batch = first.mean(0).abs() < 1  # the others are centred on 5
        assert by_batch.float().mean().item() == pytest.approx(0.2, abs=0.02)
        layer.running_mean.fill_(5.0)
        layer.running_var.fill_(1.0)
        torch.manual_seed(1)
        assert torch.equal(layer(x), first)
        assert not torch.equal(layer(x), first)

    def test_the_published_gradient_is_that_of_an_update_between_the_passes(self) -> None:
        """The authors' code, rebuilt: one call normalises by the running statistics, the next one moves them."""
        layer = redrawn(layers.StochNorm(C, published_gradient=True, **options()))
        rm, rv = layer.running_mean.clone(), layer.running_var.clone()
        x, other = (draw(6, (3, 3)).requires_grad_() for _ in range(2))
        torch.manual_seed(2)
        s = (torch.rand(C) < 0.5).double().reshape(1, C, 1, 1)
        torch.manual_seed(2)
        layer(x).pow(3).sum().backward()

        class Running(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, values: Tensor) -> Tensor:
                return F.batch_norm(values, rm, rv, eps=EPS)

            @staticmethod
            def backward(context: Any, gradient: Tensor) -> Tensor:
                return gradient / torch.sqrt(rv + EPS).reshape(1, C, 1, 1)  # by then moved

        by_running = Running.apply(other)
        by_batch = F.batch_norm(other, rm, rv, training=True, momentum=0.3, eps=EPS)
        x_hat = s * by_batch + (1 - s) * by_running
        y = x_hat * layer.weight.detach().reshape(1, C, 1, 1) + layer.bias.detach().reshape(1, C, 1, 1)
        y.pow(3).sum().backward()
        assert 0 < s.sum() < C
        assert x.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(x.grad, other.grad, rtol=1e-10, atol=1e-10)

    def test_both_gradients_belong_to_one_output(self) -> None:
        outputs, gradients = [], []
        for published in (False, True):
            layer = redrawn(layers.StochNorm(C, published_gradient=published, **options()))
            x = draw(6, (3, 3)).requires_grad_()
            torch.manual_seed(2)
            outputs.append(layer(x))
            outputs[-1].sum().backward()
            gradients.append(x.grad)
        assert torch.equal(*outputs)
        assert not torch.allclose(*gradients)


class TestSwitched:
    @pytest.mark.parametrize("shape", [(1, C), (6, C), (1, C, 1), (6, C, 3, 3)], ids=str)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_frozen_whole_it_is_inference_under_train_bit_for_bit(
        self, shape: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        layer = redrawn(layers.SwitchedBatchNorm(C, False, "running", eps=EPS)).to(dtype).train()
        before = copy.deepcopy(layer.state_dict())
        x = draw(shape[0], shape[2:]).to(dtype)
        affine = (before[name].float() for name in ("running_mean", "running_var", "weight", "bias"))
        assert torch.equal(layer(x), F.batch_norm(x.float(), *affine, eps=EPS).to(dtype))
        assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())

    @pytest.mark.parametrize("normalise", ["batch", "running"])
    def test_without_updates_no_statistic_moves_and_the_batch_is_normalised_all_the_same(self, normalise: Any) -> None:
        layer = redrawn(layers.SwitchedBatchNorm(C, False, normalise, **options()))
        other = redrawn(layers.SwitchedBatchNorm(C, True, normalise, **options()))
        before = copy.deepcopy(layer.state_dict())
        x = draw(6, (3, 3))
        assert torch.equal(layer(x), other(x))
        assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
        for moved in ("running_mean", "running_var", "num_batches_tracked"):
            assert not torch.equal(getattr(other, moved), before[moved])

    def test_switches_take_effect_when_assigned(self) -> None:
        layer = redrawn(layers.SwitchedBatchNorm(C, **options()))
        x = draw(6, (3, 3))
        by_batch = layer(x)
        layer.normalise, layer.update_statistics = "running", False
        by_running = layer(x)
        assert not torch.allclose(by_running, by_batch)
        torch.testing.assert_close(by_running, layer.eval()(x), rtol=0, atol=0)

    def test_training_is_batch_norm_bit_for_bit_in_what_it_puts_out(self) -> None:
        layer = redrawn(layers.SwitchedBatchNorm(C, eps=EPS))
        x = draw(6, (3, 3), dtype=torch.float32)
        assert torch.equal(layer(x), F.batch_norm(x, None, None, layer.weight, layer.bias, training=True, eps=EPS))


def test_batch_renorm_s_limits_relax_as_the_paper_s() -> None:
    for step, expected in [(0, (1, 0)), (5_000, (1, 0)), (25_000, (1 + 8 / 7, 5)), (40_000, (3, 5)), (10**6, (3, 5))]:
        assert layers.batch_renorm_limits(step) == pytest.approx(expected)


def test_batch_renorm_s_limits_take_effect_when_assigned() -> None:
    layer = redrawn(layers.BatchRenorm(C, 1, 0, **options()))
    x = draw(6, (3, 3))
    before = layer(x)
    layer.r_max, layer.d_max = layers.batch_renorm_limits(50_000)
    assert not torch.allclose(layer(x), before)


def test_batch_renorm_without_limits_puts_out_what_inference_does() -> None:
    layer = redrawn(layers.BatchRenorm(C, 1e9, 1e9, momentum=0.0, eps=EPS, dtype=torch.float64))
    x = draw(6, (3, 3))
    torch.testing.assert_close(layer(x), layer.eval()(x), rtol=1e-10, atol=1e-10)


def test_batch_renorm_s_gradient_holds_r_and_d() -> None:
    layer = redrawn(layers.BatchRenorm(C, 3, 5, **options()))
    x, other = (draw(6, (3, 3)).requires_grad_() for _ in range(2))
    sigma = torch.sqrt(layer.running_var + EPS)
    var, mean = torch.var_mean(other, (0, 2, 3), correction=0)
    r, d = (torch.sqrt(var + EPS) / sigma).detach(), ((mean - layer.running_mean) / sigma).detach()
    x_hat = F.batch_norm(other, None, None, r, d, training=True, eps=EPS)
    (layer.weight.detach().reshape(1, C, 1, 1) * x_hat).pow(3).sum().backward()
    (layer(x) - layer.bias.detach().reshape(1, C, 1, 1)).pow(3).sum().backward()
    assert x.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(x.grad, other.grad, rtol=1e-10, atol=1e-10)


def test_gates_are_clamped_after_a_step_and_not_before() -> None:
    model = nn.Sequential(nn.Linear(C, C), layers.BatchInstanceNorm(C))
    gate = model[1].gate
    with torch.no_grad():
        gate.copy_(torch.tensor([-0.5, 0.25, 1.0, 1.5]))
    model(torch.randn(6, C))
    assert gate.tolist() == [-0.5, 0.25, 1.0, 1.5]
    layers.clamp_gates_(model)
    assert gate.tolist() == [0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize("alpha", [0.3, torch.tensor([0.0, 0.3, 0.6, 1.0])], ids=["one", "per channel"])
def test_batch_group_norm_takes_alpha_as_example_weighed_does(alpha: Any) -> None:
    """With a channel a group both are one formula."""
    layer = redrawn(layers.BatchGroupNorm(C, C, **options())).eval()
    layer.alpha = alpha
    other = layers.ExampleWeighedBatchNorm(C, alpha, EPS, dtype=torch.float64).eval()
    other.load_state_dict(layer.state_dict())
    x = draw(3, (5, 4))
    torch.testing.assert_close(layer(x), other(x), rtol=1e-11, atol=1e-11)
    assert torch.equal(other.alpha, layer.alpha)


class TestBatchWeighed:
    @pytest.mark.parametrize(("variant", "variance"), [("moments", 3.25), ("published", 1.0)])
    def test_a_shift_by_three_deviations_at_equal_weights(self, variant: Any, variance: float) -> None:
        """Variance 1 around 0 with variance 1 around 3: the population of both has 3.25, the linear mixture 1."""
        x = torch.randn(8, 1, 100, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        x = (x - x.mean()) / x.std(correction=0) + 3
        by_prior = layers.BatchWeighedBatchNorm(1, prior=8.0, variant=variant, **options()).eval()
        by_weight = layers.BatchWeighedBatchNorm(1, source_weight=0.5, variant=variant, **options()).eval()
        assert torch.equal(by_prior(x), by_weight(x))
        for layer in (by_prior, by_weight):
            torch.testing.assert_close(layer(x), (x - 1.5) / (variance + EPS) ** 0.5, rtol=1e-5, atol=1e-5)

    def test_without_the_source_is_batch_norm_in_training_mode(self) -> None:
        x = draw(6, (3, 3))
        for source_weight in (None, 0.0):
            layer = redrawn(layers.BatchWeighedBatchNorm(C, source_weight=source_weight, **options())).eval()
            expected = F.batch_norm(x, None, None, layer.weight, layer.bias, training=True, eps=EPS)
            torch.testing.assert_close(layer(x), expected, rtol=1e-11, atol=1e-11)

    @pytest.mark.parametrize(
        ("settings", "layout"),
        [
            ({}, torch.contiguous_format),
            ({"source_weight": 1e-3}, torch.contiguous_format),
            ({"source_weight": 1e-3}, torch.channels_last),
        ],
        ids=str,
    )
    def test_a_mean_of_ten_thousand_deviations_costs_no_digits(
        self, settings: Any, layout: torch.memory_format
    ) -> None:
        """Without the source and in channels_last it is torch's kernel, which is off by several deviations here."""
        x = (torch.randn(64, C, 16, 16, generator=torch.Generator().manual_seed(0)) + 1e4).to(memory_format=layout)
        layer = layers.BatchWeighedBatchNorm(C, **settings, eps=1e-5).eval()
        layer.running_mean.fill_(1e4)
        exact = copy.deepcopy(layer).double()(x.double())
        with torch.set_grad_enabled(not settings):
            y = layer(x)
        torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=2e-5)
        assert y.is_contiguous(memory_format=layout)

    def test_the_input_stays_with_and_without_gradients(self) -> None:
        layer = redrawn(layers.BatchWeighedBatchNorm(C, **options())).eval()
        x = draw(6, (3, 3))
        before = x.clone()
        for recorded in (True, False):
            with torch.set_grad_enabled(recorded):
                layer(x)
            assert torch.equal(x, before)

    @pytest.mark.parametrize("positions", [(), (3, 3)], ids=str)
    def test_second_derivatives_are_those_of_the_formula(self, positions: tuple[int, ...]) -> None:
        layer = redrawn(layers.BatchWeighedBatchNorm(C, **options())).eval()
        assert torch.autograd.gradgradcheck(layer, (draw(4, positions).requires_grad_(),))

    @pytest.mark.parametrize("shape", [(1, C), (1, C, 1, 1)], ids=str)
    def test_a_single_value_puts_out_the_bias_and_has_no_gradient(self, shape: tuple[int, ...]) -> None:
        layer = redrawn(layers.BatchWeighedBatchNorm(C, **options())).eval()
        x = torch.full(shape, 7.0, dtype=torch.float64, requires_grad=True)
        y = layer(x)
        torch.testing.assert_close(y.flatten(), layer.bias)
        y.sum().backward()
        assert not x.grad.any()

    @pytest.mark.parametrize("settings", [{}, {"prior": 4.0}, {"source_weight": 0.5, "variant": "published"}], ids=str)
    def test_inference_leaves_the_running_statistics(self, settings: Any) -> None:
        layer = redrawn(layers.BatchWeighedBatchNorm(C, **settings, **options())).eval()
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        layer(draw(6, (3, 3)))
        assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_blocks_left_over() -> None:
    """7 = 3 + 3 + 1: the one stands alone where it has positions, and joins its neighbour where it has none."""
    for positions, size in (((4,), 1), ((), 4)):
        layer = layers.GhostBatchNorm(C, 3, eps=0.0, dtype=torch.float64)
        x = draw(7, positions)
        whitened = layer(x).detach().numpy()[7 - size :]
        axes = (0, *range(2, whitened.ndim))
        np.testing.assert_allclose(whitened.mean(axes), 0, atol=1e-12)
        np.testing.assert_allclose(whitened.var(axes), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: layers.StochNorm(C, p=1.5), r"p is 1\.5; .* \[0, 1\]"),
        (
            lambda: layers.SwitchedBatchNorm(C, normalise="eval"),
            "normalise is 'eval'; choose one of 'batch', 'running'",
        ),
        (lambda: layers.GhostBatchNorm(C, 0), "ghost_size is 0; .* 1 or more"),
        (lambda: layers.GhostBatchNorm(C, 2, "tf"), "running is 'tf'; choose one of 'unbiased', 'published'"),
        (lambda: layers.GhostBatchNorm(C, 1)(torch.zeros(4, C)), "block of 1 example .* 2 examples or more"),
        (lambda: layers.BatchGroupNorm(3, C), "4 channels do not make 3 groups"),
        (lambda: layers.BatchGroupNorm(0, C), "4 channels do not make 0 groups"),
        (lambda: layers.BatchGroupNorm(2, C, 0), "examples_per_group is 0"),
        (lambda: layers.BatchGroupNorm(2, C, alpha=2.0), "keep it in"),
        (lambda: layers.BatchRenorm(C, 0.5, 1), r"r_max is 0\.5 and d_max 1; .* at least 1 and 0"),
        (lambda: layers.BatchRenorm(C, 1, -1), "at least 1 and 0"),
        (lambda: layers.InstanceBatchNorm(C, -0.1), r"ratio is -0\.1"),
        (lambda: layers.BatchWeighedBatchNorm(C, prior=-1.0), r"prior is -1\.0 .* from 0 on"),
        (lambda: layers.BatchWeighedBatchNorm(C, source_weight=1.5), r"source_weight 1\.5; .* from 0 to 1"),
        (lambda: layers.BatchWeighedBatchNorm(C, 8.0, 0.5), "give one of the two"),
        (lambda: layers.BatchWeighedBatchNorm(C, variant="mixed"), "variant is 'mixed'; choose one of 'moments'"),
        (lambda: layers.ScaledAffineBatchNorm(C, "A3"), "form is 'A3'; choose one of 'A1', 'A2'"),
        (
            lambda: layers.StochNorm.from_batch_norm(nn.BatchNorm2d(C, track_running_stats=False)),
            "no running statistics",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_can(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
