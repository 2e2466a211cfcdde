"""Some of a run's examples with their labels, in random order, as learning takes them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.engine.predict import input_dtype
from calibrate.engine.run import Run
from calibrate.result import Progress


def labelled_batches(
    run: Run, indices: NDArray[np.int64], batch_size: int, epoch: int, stage: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels of the examples ``indices``, in an order of the run's seed and the epoch; the last may be few.

    An example counts as three passes: learning goes forward once, and backward for twice the cost.
    """
    order = np.random.Generator(np.random.PCG64([run.seed, epoch])).permutation(indices)
    dtype, device = input_dtype(run.model), run.setting.device
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        for batch in run.source.batches(chosen, batch_size):
            yield batch.inputs.to(device, dtype), run.labels_of(batch.indices).to(device)
        run.setting.progress(Progress(stage, begin + len(chosen), len(order)))
