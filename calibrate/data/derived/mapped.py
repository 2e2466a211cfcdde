"""A source whose classes are called otherwise than the model's."""

import difflib
from collections.abc import Sequence

import numpy as np

from calibrate.data.class_list import check_classes
from calibrate.data.class_map import ClassMap, resolve
from calibrate.data.derived.base import Derived
from calibrate.data.source import Source
from calibrate.errors import DataError


class Mapped(Derived):
    """The examples of ``source`` with the labels that ``class_map`` gives their classes.

    The classes of data that have indices only go by these indices. ``classes`` are the names of the model's classes.
    """

    def __init__(self, source: Source, class_map: ClassMap, classes: Sequence[str] | None = None) -> None:
        if source.labels is None:
            raise DataError(f"{source.name} has no labels that a class map could rename; leave the class map out.")
        names = None if classes is None else check_classes(classes, "the class list")
        targets = resolve(class_map, names)
        given, places = np.unique(source.labels, return_inverse=True)
        indices = []
        for label in given.tolist():
            called = str(label) if source.class_names is None else source.class_names[label]
            if called not in targets:
                raise _unmapped(called, source, names)
            indices.append(targets[called])
        labels = np.array(indices, dtype=np.int64)[places]
        mark = labels.astype("<i8").tobytes()
        super().__init__(source, mark, labels=labels, class_names=names, listed=names is not None)


def _unmapped(called: str, source: Source, names: tuple[str, ...] | None) -> DataError:
    near = difflib.get_close_matches(called, names, n=1, cutoff=0)[0] if names else "0"
    return DataError(
        f"the class {called!r} of {source.name} is not in the class map; add it with the model's class that it is, "
        f"such as '{called}: {near}'."
    )
