"""Classes to fine-tune to: their names, and the output of the network that each example is labelled with."""

import numpy as np
from numpy.typing import NDArray

from calibrate.data import Source
from calibrate.errors import DataError, meant
from calibrate.recipe import FineTuning

Rows = NDArray[np.int64]


def wanted_classes(source: Source, recipe: FineTuning, outputs: int) -> tuple[tuple[str, ...], bool]:
    """The names of the classes, in the order of the outputs, and whether they need a fresh head.

    Data that name no class have indices for names; they are taken for those of the network, if they fit its
    ``outputs``.
    """
    if recipe.classes is not None:
        known = _names(source, outputs)
        for name in recipe.classes:
            if name not in known:
                raise DataError(
                    f"the recipe names the class {name!r}, which {source.name} has not{meant(name, known)}; its "
                    f"classes are {', '.join(known[:20])}{', …' if len(known) > 20 else ''}."
                )
        return recipe.classes, True
    names = _names(source, outputs)
    return names, recipe.head == "fresh" or len(names) != outputs


def class_labels(source: Source, classes: tuple[str, ...], outputs: int) -> Rows:
    """The place in ``classes`` of each example's class (n,), −1 where it is none of them."""
    places = {name: place for place, name in enumerate(classes)}
    by_index = np.array([places.get(name, -1) for name in _names(source, outputs)], dtype=np.int64)
    return by_index[_labels(source)]


def _names(source: Source, outputs: int) -> tuple[str, ...]:
    if source.class_names is not None:
        return tuple(source.class_names)
    return tuple(str(index) for index in range(max(outputs, int(_labels(source).max()) + 1)))


def _labels(source: Source) -> Rows:
    if source.labels is None:
        raise DataError(
            f"{source.name} has no labels, and fine-tuning learns from them; give class folders, a .csv with the "
            "column label, or an .npz with y."
        )
    return source.labels
