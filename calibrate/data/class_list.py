"""The class list: the names of the model's classes, in the order of its outputs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import DataError, UsageError, require_kind


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Read one class name per line; blank lines at the end are ignored."""
    require_kind(path, (str, Path), "path", "the path of a text file with one class name per line")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"the class list {str(path)!r} cannot be read: {reason}. Give a text file with one class name per line."
        ) from None
    return check_classes([line.strip() for line in text.rstrip().split("\n")], f"the class list {str(path)!r}")


def check_classes(names: Sequence[str], source: str) -> tuple[str, ...]:
    """The names, where there are any, none is blank and none stands twice; ``source`` names them in the error."""
    if not any(names):
        raise UsageError(f"{source} is empty; give the name of every class of the model, in the order of its outputs.")
    lines: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if not name:
            raise UsageError(f"{source} has no name on line {line} of {len(names)}; give each output a name.")
        if name in lines:
            raise UsageError(
                f"{source} names {name!r} twice, on lines {lines[name]} and {line}; give each output its own name."
            )
        lines[name] = line
    return tuple(names)


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
