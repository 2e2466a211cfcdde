"""Examples on which an exported file is proved to compute what its network computes."""

import torch
from torch import Tensor

from calibrate.data import Source
from calibrate.engine.execution import KEPT_EXAMPLES, first_examples
from calibrate.engine.opening.checkpoint import Opened
from calibrate.engine.passes.prediction import input_dtype
from calibrate.errors import UsageError
from calibrate.recipe import Preprocessing


def proof_examples(opened: Opened, source: Source | None, preprocessing: Preprocessing | None) -> Tensor:
    """The first inputs (n, C, *) of ``source``, n at most 64; without a source, seeded noise of the input's size."""
    if source is not None:
        return first_examples(source, input_dtype(opened.model))
    side = preprocessing and (preprocessing.crop or preprocessing.resize)
    if preprocessing is None or not side:
        raise UsageError(
            f"the input size of {opened.architecture} is not known; pass --data with real inputs, "
            "or --preprocessing with a crop, such as '{crop: 224}'."
        )
    generator = torch.Generator().manual_seed(0)
    shape = (KEPT_EXAMPLES, preprocessing.channels, side, side)
    return torch.randn(*shape, generator=generator).to(input_dtype(opened.model))
