"""The class list: the names of the model's classes, in the order of its outputs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibrate.errors import DataError, UsageError
from calibrate.result import Finding


class ClassList(tuple[str, ...]):
    """The names of the model's classes, one for each output; ``others`` are further names, by index.

    ImageNet's index file has a synset and a word for each class: data may be labelled with either.

    >>> indices_by_name(ClassList(["n01440764", "n01443537"], {"tench": 0, "goldfish": 1}))["goldfish"]
    1
    """

    others: Mapping[str, int]

    def __new__(cls, names: Iterable[str], others: Mapping[str, int] | None = None) -> Self:
        """Make the list of ``names``."""
        made = super().__new__(cls, names)
        made.others = others or {}
        return made

    @classmethod
    def of_synonyms(cls, classes: Sequence[Sequence[str]]) -> Self:
        """The list of classes that each have one name or more; a further name of several classes names none."""
        further = [(name, index) for index, names in enumerate(classes) for name in names[1:]]
        times = Counter(name for name, _ in further)
        return cls([names[0] for names in classes], {name: index for name, index in further if times[name] == 1})


#: No model has so many outputs.
LARGEST = 10**9


def indices_by_name(classes: Sequence[str]) -> dict[str, int]:
    """The index of each class by its name, and by its other names where the list has some."""
    return {**other_names(classes), **{name: index for index, name in enumerate(classes)}}


def other_names(classes: Sequence[str] | None) -> dict[str, int]:
    """The index of each further name that the classes have."""
    return dict(classes.others) if isinstance(classes, ClassList) else {}


def check_classes(names: Sequence[str], source: str, place: str = "line") -> tuple[str, ...]:
    """The names, where there are any, none is blank and none stands twice; ``source`` names them in the error."""
    if not any(names):
        raise UsageError(f"{source} is empty; give the name of every class of the model, in the order of its outputs.")
    places: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise UsageError(f"{source} has no name on {place} {number} of {len(names)}; give each output a name.")
        if name in places:
            raise UsageError(
                f"{source} names {name!r} twice, on {place}s {places[name]} and {number}; give each output its own "
                "name."
            )
        places[name] = number
    return names if isinstance(names, ClassList) else tuple(names)


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


def places_said(classes: Sequence[str] | None, name: str) -> tuple[Finding, ...]:
    """That integer labels were taken as places in the class list, where its names are other numbers.

    >>> [len(places_said(names, "the labels")) for names in (["0", "1", "2"], ["0", "1", "10"], ["ant", "bee"], None)]
    [0, 1, 0, 0]
    """
    if classes is None or not all(map(str.isdecimal, classes)):
        return ()
    place = next((place for place, called in enumerate(classes) if called != str(place)), None)
    if place is None:
        return ()
    message = (
        f"{name} are integers, and the names in the class list are numbers too: a label was taken as a place in the "
        f"list, counted from 0, so that the label {place} is the class called {classes[place]!r}. If the labels are "
        f"those names, give their places instead."
    )
    return (Finding(code="labels-as-places", severity="warning", message=message),)


def stored_labels(labels: NDArray[np.generic], name: str) -> tuple[NDArray[np.int64], tuple[Finding, ...]]:
    """The labels of a file as class indices (n,), and what was made of them: of a column, one-hot rows, or floats.

    Rows (n, K) are one-hot where each holds a single 1 and zeros else, and a column (n, 1) holds class indices.

    >>> stored_labels(np.array([[0, 1, 0], [1, 0, 0]]), "the labels")[0].tolist()
    [1, 0]
    """
    said = []
    if labels.ndim > 1 and labels.shape[1:] == (1,) * (labels.ndim - 1):
        labels = labels.reshape(len(labels))
    elif labels.ndim == 2 and len(labels) and labels.dtype.kind in "iufb":
        ones = labels == 1
        if not ((ones.sum(1) == 1) & ((labels == 0).sum(1) == labels.shape[1] - 1)).all():
            row = int(np.flatnonzero((ones.sum(1) != 1) | ((labels == 0).sum(1) != labels.shape[1] - 1))[0])
            raise DataError(
                f"{name} have the shape {labels.shape}, and row {row} is not one-hot (a single 1, and zeros else); "
                "give one class index per example, shape (n,)."
            )
        said.append(f"{name} are one-hot rows of {labels.shape[1]} columns; the column of the 1 is the class index.")
        labels = ones.argmax(1)
    if labels.dtype.kind == "f" and labels.ndim == 1 and len(labels):
        values = labels.astype(np.longdouble)
        whole = (values == np.trunc(values)) & (np.abs(values) < LARGEST)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise DataError(
                f"{name} are {labels.dtype}, and row {row} has {labels[row]!s}, which is no class index; give "
                "integers from 0 on, and drop other examples."
            )
        said.append(f"{name} are {labels.dtype}, all of them whole, and were taken as class indices.")
        labels = labels.astype(np.int64)
    findings = tuple(Finding(code="labels-converted", severity="info", message=message) for message in said)
    return class_indices(labels, name), findings
