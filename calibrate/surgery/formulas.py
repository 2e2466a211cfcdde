"""Formulas: what normalisation layers of a network's own class may compute, and what may follow."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

#: Activations without a number of their own.
ACTIVATIONS: tuple[nn.Module, ...] = (
    *(nn.ReLU(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Mish(), nn.Hardswish(), nn.ReLU6(), nn.SELU()),
    *(nn.Tanh(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Softplus(), nn.Softsign()),
)


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Statistics and affine parameters (C,), inputs, and what the layer put out for them."""

    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor
    x: Tensor
    y: Tensor


def batch_norm(draw: Draw, eps: float, per_channel: tuple[int, ...]) -> Tensor:
    """What batch normalisation with ``eps`` puts out for ``draw``; ``per_channel`` is the shape of (C,) beside x."""
    return _affine(draw, (draw.variance + eps).sqrt(), draw.weight, draw.bias, per_channel)


def _affine(draw: Draw, deviation: Tensor, weight: Tensor, bias: Tensor, per_channel: tuple[int, ...]) -> Tensor:
    mean, scale, shift = (value.view(per_channel) for value in (draw.mean, weight / deviation, bias))
    return (draw.x - mean) * scale + shift


#: Formulas that are not batch normalisation's, by what is to be said of a layer that computes them.
OTHERS: dict[str, Callable[[Draw, float, tuple[int, ...]], Tensor]] = {
    "its running_var is a standard deviation, by which it divides": lambda d, eps, to: _affine(
        d, d.variance + eps, d.weight, d.bias, to
    ),
    "its eps is added to the standard deviation, outside the root": lambda d, eps, to: _affine(
        d, d.variance.sqrt() + eps, d.weight, d.bias, to
    ),
    "its bias is added before the scale": lambda d, eps, to: _affine(
        d, (d.variance + eps).sqrt(), d.weight, d.weight * d.bias, to
    ),
    "it scales by the absolute value of its weight": lambda d, eps, to: _affine(
        d, (d.variance + eps).sqrt(), d.weight.abs(), d.bias, to
    ),
    "it scales by the absolute value of its weight, and eps": lambda d, eps, to: _affine(
        d, (d.variance + eps).sqrt(), d.weight.abs() + eps, d.bias, to
    ),
    "it scales by 1 + weight": lambda d, eps, to: _affine(d, (d.variance + eps).sqrt(), 1 + d.weight, d.bias, to),
}
