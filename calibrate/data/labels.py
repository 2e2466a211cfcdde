"""Labels as they come from arrays, and the class indices they must be."""

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import DataError


def class_indices(labels: NDArray[np.generic], name: str) -> NDArray[np.int64]:
    """The labels (n,) as int64, where they are integers from 0 on; errors call them ``name``."""
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name} are {labels.dtype}; labels must be integers, the index of each example's class.")
    if labels.ndim != 1:
        raise DataError(
            f"{name} have the shape {labels.shape}; give one class index per example, shape (n,), not one-hot rows."
        )
    if not len(labels):
        raise DataError(f"{name} are empty; give at least one example.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > np.iinfo(np.int64).max:
        raise DataError(f"{name} hold {low if low < 0 else high}; class indices count from 0, drop other examples.")
    return labels.astype(np.int64)
