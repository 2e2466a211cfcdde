"""What is left of inference example weighing once the running statistics are folded into what feeds the layer."""

from typing import Self

import torch
from torch import Tensor, nn

from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.weighing import ONE_PASS_ALPHA, variance_floor, weigh_


class WhitenedExampleWeighed(nn.Module):
    """An :class:`~calibrate.nn.ExampleWeighed` layer whose input was whitened before: z = (x − rm)/√(rv + eps).

    For inference: α and all that follows from it are fixed, and ``z`` is overwritten unless gradients are recorded, so
    nothing else may read it.

    Shape: ``z`` (N, C, *); y like ``z``. Computes in float32 at least.

    *Equals the layer it was made from* on x, up to rounding.
    """

    alpha: Tensor
    floor: Tensor
    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, alpha: Tensor, floor: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
        super().__init__()
        for name, tensor in (("alpha", alpha), ("floor", floor), ("weight", weight), ("bias", bias)):
            self.register_buffer(name, tensor)
        self._two_pass = float(alpha.max()) > ONE_PASS_ALPHA

    @classmethod
    def of(cls, layer: ExampleWeighed) -> Self:
        """What is left of ``layer``, with copies of its parameters."""
        assert isinstance(layer.running_var, Tensor)
        precision = torch.promote_types(layer.running_var.dtype, torch.float32)
        alpha = layer.alpha.to(precision, copy=True)
        floor = variance_floor(layer.running_var.to(precision), alpha, layer.eps)
        affine = (None if t is None else t.detach().to(precision, copy=True) for t in (layer.weight, layer.bias))
        return cls(alpha, floor, *affine)

    def forward(self, z: Tensor) -> Tensor:
        """Weigh the examples of ``z``; see the class."""
        floor = self.floor
        values = z if z.dtype == floor.dtype else z.to(floor.dtype)
        return weigh_(values, self.alpha, floor, self.weight, self.bias, two_pass=self._two_pass).to(z.dtype)

    def extra_repr(self) -> str:
        """The layer's size and α."""
        alpha = f"{self.alpha.item():g}" if self.alpha.dim() == 0 else f"tensor({len(self.floor)},)"
        return f"{len(self.floor)}, alpha={alpha}"
