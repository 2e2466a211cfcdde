"""The order in which classes that have no list are numbered, and how the other usual order would number them."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from calibrate.result import Finding

_MOVE = (
    "If the network was trained in that order, pass a class list in it with --classes FILE (from Python `classes`, "
    "over REST the model's `class_names`)."
)
#: So many names of an order are shown, and so much of each.
SHOWN, LONGEST = 4, 40
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_DIGITS = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True)
class ClassOrder:
    """The class names in index order; ``other`` is the other usual order, where that is another, and is then said."""

    names: tuple[str, ...]
    other: tuple[str, ...] | None
    findings: tuple[Finding, ...]


def order_classes(names: Collection[str], source: str) -> ClassOrder:
    """Number the classes ``names`` of ``source``: by value where all are numbers, else as text.

    Names that hold numbers beside other text (``class_1`` … ``class_10``, ``0_airplane``, ``background`` beside 1 …
    11) are sorted as text too, as torchvision's ``ImageFolder`` sorts all names; that their natural order is another is
    said.

    >>> order_classes(["0", "1", "10", "2"], "digits/").names
    ('0', '1', '2', '10')
    """
    as_text = tuple(sorted(names))
    if all(_NUMBER.fullmatch(name) for name in names):
        by_value = tuple(sorted(names, key=lambda name: (Decimal(name), name)))
        if by_value == as_text:
            return ClassOrder(by_value, None, ())
        message = (
            f"the {len(names)} classes of {source} have numbers as names, and are numbered in natural order: "
            f"{_shown(by_value, as_text)}. Sorted as text, as torchvision's ImageFolder does, they would be "
            f"{_shown(as_text, by_value)}. {_MOVE}"
        )
        return ClassOrder(by_value, as_text, (Finding(code="classes-by-number", severity="warning", message=message),))
    natural = tuple(sorted(names, key=_natural)) if any(map(_DIGITS.search, names)) else as_text
    if natural == as_text:
        return ClassOrder(as_text, None, ())
    message = (
        f"the names of the {len(names)} classes of {source} hold numbers, and are sorted as text, as torchvision's "
        f"ImageFolder does: {_shown(as_text, natural)}. In natural order they would be {_shown(natural, as_text)}. "
        f"{_MOVE}"
    )
    return ClassOrder(as_text, natural, (Finding(code="classes-as-text", severity="warning", message=message),))


def _natural(name: str) -> tuple[list[tuple[bool, Decimal, str]], str]:
    """A key that sorts c1 before C2 before c10, and numbers before other text."""
    parts = [part for part in _DIGITS.split(name.casefold()) if part]
    return [(False, Decimal(part), "") if _DIGITS.fullmatch(part) else (True, Decimal(0), part) for part in parts], name


def _shown(names: tuple[str, ...], other: tuple[str, ...]) -> str:
    """The first names, as far as the two orders differ."""
    first = next(place for place, (mine, its) in enumerate(zip(names, other, strict=True)) if mine != its)
    begin = max(0, first - 2)
    shown = ", ".join(name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in names[begin : begin + SHOWN])
    more = ", …" if begin + SHOWN < len(names) else ""
    return f"{'…, ' if begin else ''}{shown}{more}"
