"""What comes out of a source of examples."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from calibrate.data import Source


def inputs_of(source: Source, indices: Sequence[int] | None = None, batch_size: int = 3) -> Tensor:
    """The inputs of all examples, or of some, as the batches of one pass bring them."""
    chosen = np.arange(len(source)) if indices is None else np.array(indices)
    batches = list(source.batches(chosen, batch_size))
    assert np.concatenate([batch.indices for batch in batches]).tolist() == sorted(chosen.tolist())
    return torch.cat([batch.inputs for batch in batches])
