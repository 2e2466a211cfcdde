"""The order of the classes: whether another numbering of them explains the labels far better."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibrate.metrics.p_values import mcnemar
from calibrate.result import Finding

Classes = NDArray[np.int64]

#: A numbering must be right on so many more of the examples it was not chosen on, on so many at least, and with a
#: p-value of at most that. Of more classes than that it is not asked.
MORE, LEAST, P_VALUE, MAX_CLASSES = 0.2, 0.5, 1e-3, 2000
#: So many renumbered classes are named.
SHOWN: Final = 3


def renumbering(labels: Classes, predicted: Classes, outputs: int) -> Classes:
    """For each class (K,) the output that goes with it, one each: those first that labels and ``predicted`` share most.

    That is greedy, and the best numbering where each class has an output that most of its examples go to. A class
    without examples keeps its number where it can.

    >>> renumbering(np.array([0, 0, 1, 2]), np.array([1, 1, 2, 0]), 4).tolist()
    [1, 2, 0, 3]
    """
    pairs, counts = np.unique(labels * outputs + predicted, return_counts=True)
    of_class, output = np.divmod(pairs, outputs)
    numbers = np.full(outputs, -1, dtype=np.int64)
    free = np.ones(outputs, dtype=bool)
    own = np.arange(outputs)
    for place in np.lexsort((of_class != output, -counts)).tolist():
        if numbers[of_class[place]] < 0 and free[output[place]]:
            numbers[of_class[place]] = output[place]
            free[output[place]] = False
    kept = (numbers < 0) & free
    numbers[kept] = own[kept]
    free[kept] = False
    numbers[numbers < 0] = own[free]
    return numbers


def order_finding(
    chosen_on: tuple[Classes, Classes],
    judged_on: tuple[Classes, Classes],
    outputs: int,
    names: Sequence[str] | None = None,
    other_order: Sequence[str] | None = None,
) -> Finding | None:
    """Warn where the classes seem to be in another order than the network's outputs.

    Labels (n,) and predictions (n,) are those of two halves: the numbering is chosen on one, and must prove itself on
    the other. ``other_order`` are the class names in the other usual order.
    """
    labels, predicted = judged_on
    right = predicted == labels
    if outputs > MAX_CLASSES or not len(labels) or right.mean() > 1 - MORE:
        return None
    numbers = renumbering(*chosen_on, outputs)
    renumbered = predicted == numbers[labels]
    if renumbered.mean() < max(LEAST, right.mean() + MORE):
        return None
    if mcnemar(int((renumbered & ~right).sum()), int((right & ~renumbered).sum())) > P_VALUE:
        return None
    seen = np.unique(chosen_on[0])
    moved = [label for label in seen.tolist() if numbers[label] != label]
    called = [repr(names[label]) if names else f"label {label}" for label in moved]
    shown = ", ".join(f"{name} is output {numbers[label]}" for name, label in zip(called[:SHOWN], moved, strict=False))
    usual = ""
    if names is not None and other_order is not None:
        places = {name: place for place, name in enumerate(other_order)}
        if all(numbers[label] == places[names[label]] for label in seen.tolist()):
            usual = ". That is the other usual order of such names"
    return Finding(
        code="labels-permuted",
        severity="warning",
        message=(
            f"the original network is right on {right.mean():.1%} of the examples, and would be on "
            f"{renumbered.mean():.1%} if {len(moved)} classes were numbered otherwise, as the calibration half has it: "
            f"{shown}{', …' if called[SHOWN:] else ''}{usual}. The classes of the data are hardly in the order of the "
            "network's outputs; pass the names in its order with --classes (from Python `classes`), or map them with "
            "--class-map."
        ),
    )
