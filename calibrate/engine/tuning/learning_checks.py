"""What the steps that learn by gradient cannot do, said before the first pass."""

import torch
from torch import nn

from calibrate.errors import DataError, ModelError
from calibrate.search import affine_tensors, check_channels
from calibrate.steps import LearnAlpha, TuneAffine
from calibrate.surgery import find_sites, select

#: With fewer examples in the calibration half, the quarter held back is a single one, which tells no noise.
FEWEST = 8


def check_network(step: LearnAlpha | TuneAffine, model: nn.Module) -> None:
    """Raise ModelError or UsageError where ``model`` has nothing for ``step`` to learn, or not as it wants it."""
    if isinstance(step, LearnAlpha):
        check_channels(select(find_sites(model), step.sites), step)
    else:
        affine_tensors(model, step.sites)
    if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
        raise ModelError(
            f"the network is float16, in which the gradients that {step.kind} follows are rounded to 0; store it as "
            "float32 or bfloat16, or take search_alpha, which needs no gradients."
        )


def check_examples(step: LearnAlpha | TuneAffine, available: int) -> None:
    """Raise DataError where the calibration half, of ``available`` examples, is too small to hold a quarter back."""
    if available < FEWEST:
        raise DataError(
            f"the calibration half has {available} examples, and the step {step.kind}, which holds a quarter of them "
            f"back, takes {FEWEST} at least; add data, or leave the step out."
        )
