"""What the steps that learn by gradient cannot do, said before the first pass."""

import torch
from torch import nn

from calibrate.errors import DataError, ModelError
from calibrate.steps import Learning

#: With fewer examples in the calibration half, the quarter held back is a single one, which tells no noise.
FEWEST = 8


def check_precision(step: Learning, model: nn.Module) -> None:
    """Raise ModelError where the precision of ``model`` rounds the gradients away."""
    if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
        raise ModelError(
            f"the network is float16, in which the gradients that {step.kind} follows are rounded to 0; store it as "
            "float32 or bfloat16, or take search_alpha, which needs no gradients."
        )


def check_examples(step: Learning, available: int) -> None:
    """Raise DataError where the calibration half, of ``available`` examples, is too small to hold a quarter back."""
    if available < FEWEST:
        raise DataError(
            f"the calibration half has {available} examples, and the step {step.kind}, which holds a quarter of them "
            f"back, takes {FEWEST} at least; add data, or leave the step out."
        )


def learning_passes(step: Learning) -> float:
    """The most passes that the step makes: an epoch learns from three quarters, at three each, and judges the rest."""
    return 1 + step.epochs * (3 * 3 + 1) / 4
