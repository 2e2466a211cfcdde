"""Statistics of the batch at inference, mixed with the running ones."""

from typing import Any, Literal, Unpack, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from calibrate.nn.batch_norm_variant import BatchNormOptions, BatchNormVariant
from calibrate.nn.moments import affine_, centre, instance_moments, pool
from calibrate.nn.normalization import blend, normalize

Variant = Literal["moments", "published"]


class BatchWeighedBatchNorm(BatchNormVariant):
    """Batch normalisation that at inference mixes the batch's statistics into the running ones.

    With rm, rv the running mean and variance, m, v the mean and biased variance of the batch of n images, M values in
    each channel, and the weight λ of the running ones, which is ``source_weight``, or prior/(prior + n)::

        μ  = λ·rm + (1 − λ)·m
        σ² = λ·rv + (1 − λ)·v + λ(1 − λ)(m − rm)²      (moments)
        σ² = λ·rv + (1 − λ)·v·M/(M − 1)                (published)
        y  = γ(x − μ)/√(σ² + eps) + β

    With λ = 0 both variances are v. Training is BatchNorm's. The running statistics stay as they are in inference.

    Shape: ``x`` (N, C) or (N, C, *), any number of positions; y like ``x``. Gradients go through m and v.

    *Equals BatchNorm when* ``source_weight`` is 1, up to rounding; or in training.

    *Helps when* all examples of a batch are shifted alike and strongly, as by one corruption, and batches are large and
    of all classes.

    *Does not help when* the shift is mild, batches are small, or examples of one class come together: the statistics of
    the batch are then worse than the stored ones.

    Cost: at inference that of BatchNorm's training; on the CPU half of it, or less, where no gradients are recorded.

    Limits: an output depends on the other examples of its batch. A single value per channel has v = 0. With λ = 0 and
    in channels_last torch's kernel runs on the CPU, which errs by 0.03 where the mean is 1,000 standard deviations.
    Where gradients are recorded on the CPU there are none in forward mode, nor by ``torch.func.vmap``.

    Reference: Nado et al., Evaluating Prediction-Time Batch Normalization for Robustness under Covariate Shift, 2020
    (λ = 0); Schneider et al., Improving robustness against common corruptions by covariate shift adaptation, NeurIPS
    2020, Eq. 3 (prior).

    >>> layer = BatchWeighedBatchNorm(1, source_weight=0.5, eps=0.0).eval()
    >>> layer(torch.tensor([[3.0], [5.0]])).detach().flatten()
    tensor([0.4472, 1.3416])
    """

    def __init__(
        self,
        num_features: int,
        prior: float = 0.0,
        source_weight: float | None = None,
        variant: Variant = "moments",
        **options: Unpack[BatchNormOptions],
    ) -> None:
        if prior < 0 or (source_weight is not None and not 0 <= source_weight <= 1):
            raise ValueError(f"prior is {prior} and source_weight {source_weight}; they are from 0 on, and from 0 to 1")
        if prior and source_weight is not None:
            raise ValueError(f"prior is {prior} and source_weight {source_weight}; give one of the two")
        if variant not in get_args(Variant):
            raise ValueError(f"variant is {variant!r}; choose one of {', '.join(map(repr, get_args(Variant)))}")
        super().__init__(num_features, **options)
        self.prior = prior
        self.source_weight = source_weight
        self.variant = variant

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise ``x``; see the class."""
        weight, bias = self.affine_parameters(x)
        recorded = torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, bias))
        if not (self.training or self._mixes) and x.numel() > x.shape[1] and not _quicker_by_parts(x):
            # torch refuses one value per channel
            return F.batch_norm(x, None, None, weight, bias, training=True, eps=self.eps)
        if self.training or torch.compiler.is_compiling() or not x.is_cpu or (recorded and self._mixes):
            mean, var = self.moments(x) if self.training else pool(*instance_moments(x))
            offset, var = (0.0, var) if self.training else self._mixed(mean, 0.0, var, x)
            return normalize(x, mean + offset, var, weight, bias, self.eps)
        if recorded:
            normalized, *_ = _NormalizedByBatch.apply(x, weight, bias, self.eps)
            return cast("Tensor", normalized)
        mean, left, var, centred = centre(x)
        offset, var = self._mixed(mean, left, var, x)
        return affine_(centred, left + offset, torch.rsqrt(var + self.eps), weight, bias)

    def _mixed(self, mean: Tensor, left: Tensor | float, var: Tensor, x: Tensor) -> tuple[Tensor | float, Tensor]:
        """The mean to normalise by, less the batch's ``mean + left``, and the variance; ``var`` is the batch's."""
        if not self._mixes:
            return 0.0, var
        source = self.prior / (self.prior + len(x)) if self.source_weight is None else self.source_weight
        running_mean, running_var = self.running_moments(x)
        share = torch.tensor(1 - source, dtype=x.dtype, device=x.device)
        distance = mean - running_mean + left
        offset, mixed = blend(running_var, distance, var, share)
        if self.variant == "published":
            values = x.numel() // x.shape[1]
            mixed = torch.lerp(running_var, var * (values / max(values - 1, 1)), share)
        return offset - distance, mixed

    def extra_repr(self) -> str:
        """BatchNorm's, with the weight of the running statistics."""
        weight = f"prior={self.prior}" if self.source_weight is None else f"source_weight={self.source_weight}"
        return f"{super().extra_repr()}, {weight}, variant={self.variant}"

    @property
    def _mixes(self) -> bool:
        return bool(self.prior or self.source_weight)


def _quicker_by_parts(x: Tensor) -> bool:
    """Whether for ``x`` the parts of BatchNorm, one after the other, take less time than its kernel in training."""
    return x.is_cpu and x.is_contiguous() and not torch.compiler.is_compiling()


class _NormalizedByBatch(Function):
    """γ(x − m)/√(v + eps) + β by the batch's own moments, which BatchNorm's kernel takes three times as long for.

    Backward is that kernel's.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, left, var, centred = centre(x)
        factor = torch.rsqrt(var + eps)
        return affine_(centred, left, factor, weight, bias), mean + left, factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: tuple[Tensor, ...]) -> None:
        x, weight, _, ctx.eps = inputs
        _, mean, factor = output
        ctx.mark_non_differentiable(mean, factor)
        ctx.save_for_backward(x, weight, mean, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, factor = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        of_kernel = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, factor, True, ctx.eps, wanted
        )
        return *(one if asked else None for one, asked in zip(of_kernel, wanted, strict=True)), None
