"""The order in which classes that have no list are numbered, and how the other usual order would number them."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from calibrate.result import Finding

#: So many names of an order are shown.
SHOWN = 4
_NUMBER = re.compile("[0-9]+")
_STEM = re.compile(r"(.*?)([0-9]+)([^0-9]*)")


@dataclass(frozen=True, slots=True)
class ClassOrder:
    """The class names in index order; ``other`` is the other usual order, where that is another, and is then said."""

    names: tuple[str, ...]
    other: tuple[str, ...] | None
    findings: tuple[Finding, ...]


def order_classes(names: Collection[str], source: str) -> ClassOrder:
    """Number the classes ``names`` of ``source``: by number where all are whole numbers, else as text.

    Names of one stem with numbers (``class_1`` … ``class_10``) are sorted as text too, as torchvision's
    ``ImageFolder`` sorts all names; that their numbers would give another order is said.

    >>> order_classes(["0", "1", "10", "2"], "digits/").names
    ('0', '1', '2', '10')
    """
    as_text = tuple(sorted(names))
    if all(_NUMBER.fullmatch(name) for name in names):
        natural = tuple(sorted(names, key=lambda name: (int(name), name)))
        if natural == as_text:
            return ClassOrder(natural, None, ())
        message = (
            f"the {len(names)} classes of {source} have numbers as names, and are numbered in natural order: "
            f"{_shown(natural, as_text)}. Sorted as text, as torchvision's ImageFolder does, they would be "
            f"{_shown(as_text, natural)}. If the network was trained in that order, pass a class list in it with "
            "--classes (from Python `classes`)."
        )
        return ClassOrder(natural, as_text, (Finding(code="classes-by-number", severity="warning", message=message),))
    parts = [_STEM.fullmatch(name) for name in names]
    if len({(found[1], found[3]) for found in parts if found}) != 1 or not all(parts):
        return ClassOrder(as_text, None, ())
    natural = tuple(sorted(names, key=lambda name: (int(_NUMBER.findall(name)[-1]), name)))
    if natural == as_text:
        return ClassOrder(as_text, None, ())
    message = (
        f"the names of the {len(names)} classes of {source} end in numbers, and are sorted as text, as torchvision's "
        f"ImageFolder does: {_shown(as_text, natural)}. In natural order they would be {_shown(natural, as_text)}. If "
        "the network was trained in that order, pass a class list in it with --classes (from Python `classes`)."
    )
    return ClassOrder(as_text, natural, (Finding(code="classes-as-text", severity="warning", message=message),))


def _shown(names: tuple[str, ...], other: tuple[str, ...]) -> str:
    """The first names, as far as the two orders differ."""
    first = next(place for place, (mine, its) in enumerate(zip(names, other, strict=True)) if mine != its)
    begin = max(0, first - 2)
    shown = ", ".join(names[begin : begin + SHOWN])
    more = ", …" if begin + SHOWN < len(names) else ""
    return f"{'…, ' if begin else ''}{shown}{more}"
