"""What is measured of a network: its error, and the estimation shift of each BN."""

import copy
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.stats import pooled_inputs
from calibrate.surgery import evaluating
from tests.benchmarks.estimation_shift.networks import DEPTH, batch_norms_by_depth

Values = NDArray[np.float64]


def error(logits: Tensor, labels: Tensor) -> float:
    """The share of wrong predictions, in percent."""
    return 100 * float((logits.argmax(1) != labels).double().mean())


def answers(model: nn.Module, x: Tensor) -> Tensor:
    """The logits in evaluation mode."""
    with evaluating(model), torch.inference_mode():
        logits: Tensor = model(x)
    return logits


def evaluate(model: nn.Module, x: Tensor) -> tuple[Tensor, Values]:
    """The logits in evaluation mode, and ESM_σ and ESM_μ (2, 20) on ``x``; NaN for layers without BN.

    ESM_σ = ‖√rv − √ṽ‖ and ESM_μ = ‖rm − m̃‖, with m̃ and ṽ the mean and biased variance of what goes into the BN.
    Reference: Huang et al., Delving into the Estimation Shift of Batch Normalization, Definition 2.
    """
    norms = batch_norms_by_depth(model)
    shift = np.full((2, DEPTH), np.nan)
    with pooled_inputs(norms.values()) as inputs:
        logits = answers(model, x)
    for depth, norm in norms.items():
        expected = inputs[norm]
        shift[0, depth] = (norm.get_buffer("running_var").double().sqrt() - expected.variance.sqrt()).norm()
        shift[1, depth] = (norm.get_buffer("running_mean").double() - expected.mean).norm()
    return logits, shift


def disturbed(model: nn.Module, depths: Iterable[int], magnitude: float, seed: int) -> nn.Module:
    """A copy with rm·(1 + δ) and rv·(1 + δ′) at ``depths``, each δ of each channel ~ U(−Δ, Δ), Δ the ``magnitude``.

    Reference: Huang et al., equation 5.
    """
    generator = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(model)
    norms = batch_norms_by_depth(model)
    for depth in depths:
        for name in ("running_mean", "running_var"):
            buffer = norms[depth].get_buffer(name)
            buffer *= 1 + magnitude * (2 * torch.rand(buffer.shape, generator=generator) - 1)
    return model
