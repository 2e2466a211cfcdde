"""Drawing as many of a half's examples as a step asks for."""

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import DataError
from calibrate.recipe import ProbeCorruptions, Reestimate

Indices = NDArray[np.int64]


def check_samples(step: Reestimate | ProbeCorruptions, which: str, available: int) -> None:
    """Raise DataError where ``step`` wants more than the ``available`` examples of what it works on."""
    if step.samples is not None and step.samples > available:
        raise DataError(
            f"wanted {step.samples} samples, the {which} {available}; lower `samples` in the step {step.kind}, or add "
            "data."
        )


def drawn(indices: Indices, samples: int | None, seed: int) -> Indices:
    """``samples`` of ``indices``, drawn without replacement, ascending; all of them for None."""
    if samples is None:
        return indices
    return np.sort(np.random.Generator(np.random.PCG64(seed)).choice(indices, samples, replace=False))
