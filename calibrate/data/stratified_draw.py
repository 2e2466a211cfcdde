"""Drawing a share of every class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import DataError
from calibrate.generators import numpy_generator

Rows = NDArray[np.int64]


def stratified(labels: Rows, rows: Rows, share: float, seed: Sequence[int], what: str) -> tuple[Rows, Rows]:
    """``share`` of each class's ``rows``, rounded, and the other rows, both ascending; ``labels`` (n,) are of all rows.

    Raises DataError where of a class that stands in ``rows`` nothing would be drawn, or for a share below 1 nothing
    left; ``what`` names the share in the error.

    >>> drawn, left = stratified(np.array([0, 0, 0, 0, 1, 1]), np.arange(6), 0.5, seed=[0], what="fraction")
    >>> len(drawn), len(left)
    (3, 3)
    """
    draw = numpy_generator(list(seed))
    shuffled = draw.permutation(np.sort(rows))
    drawn = []
    for label in np.unique(labels[rows]):
        own = shuffled[labels[shuffled] == label]
        count = round(share * len(own))
        if count == 0 or (share < 1 and count == len(own)):
            raise DataError(
                f"{what} {share:g} of the {len(own)} examples of class {label} is {count}; at least one must be drawn "
                f"and one left, so give {what} nearer to 0.5, or add examples."
            )
        drawn.append(own[:count])
    chosen = np.sort(np.concatenate(drawn))
    return chosen, np.setdiff1d(rows, chosen)
