"""What comes out of a source of examples."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from calibrate.data import Source
from calibrate.data.derived.base import Derived


def inputs_of(source: Source, indices: Sequence[int] | None = None, batch_size: int = 3) -> Tensor:
    """The inputs of all examples, or of some, as the batches of one pass bring them."""
    chosen = np.arange(len(source)) if indices is None else np.array(indices)
    batches = list(source.batches(chosen, batch_size))
    assert np.concatenate([batch.indices for batch in batches]).tolist() == sorted(chosen.tolist())
    return torch.cat([batch.inputs for batch in batches])


class Counted(Derived):
    """The examples of ``source``; ``decoded`` says how often each was asked for, by its index."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.decoded: Counter[int] = Counter()

    def _changed(self, example: Tensor, index: int) -> Tensor:
        self.decoded[index] += 1
        return example
