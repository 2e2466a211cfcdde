"""Batch normalisation whose scale multiplies its shift too: the comparison forms A1 and A2."""

from typing import Literal, Unpack, get_args

from torch import Tensor

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.normalization import normalize

Form = Literal["A1", "A2"]


class ScaledAffineBatchNorm(BatchNormVariant):
    """Batch normalisation whose γ scales β too.

    With x̂ the input normalised as BatchNorm does, and γ₀ a second learned scale, 1 at the start::

        A1:  y = γ(x̂ + β)
        A2:  y = γ(γ₀·x̂ + β)

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. The state dict of A2 adds ``inner_weight``
    (C,), γ₀, to BatchNorm's; where one has none, it stays.

    *Equals BatchNorm when* β is divided by γ, and γ₀ = 1.

    *Helps when* comparing with small γ: the forms say whether it matters that β is scaled down too.

    *Does not help when* γ is small: β then cannot shift far. BatchNorm with the same γ did better.

    Cost: BatchNorm's in inference, into whose convolution it folds; A2 one parameter more for each channel.

    Limits: made from a BatchNorm, it multiplies its β by γ, so the network must be trained after the change.

    Reference: Davis & Frank, Revisiting Batch Normalization, §4.4, Eq. 26 and 27.

    >>> "inner_weight" in ScaledAffineBatchNorm(3, form="A2").state_dict()
    True
    """

    inner_weight: Tensor

    def __init__(self, num_features: int, form: Form = "A1", **options: Unpack[BatchNormOptions]) -> None:
        if form not in get_args(Form):
            raise ValueError(f"form is {form!r}; choose one of {', '.join(map(repr, get_args(Form)))}")
        super().__init__(num_features, {"inner_weight": 1.0} if form == "A2" else {}, **options)
        self.form = form

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        weight, bias = self.affine_parameters(x)
        scale = weight * self.inner_weight.to(x.dtype) if self.form == "A2" else weight
        return normalize(x, *self.moments(x), scale, weight * bias, self.eps)

    def extra_repr(self) -> str:
        """BatchNorm's, with the form."""
        return f"{super().extra_repr()}, form={self.form!r}"
