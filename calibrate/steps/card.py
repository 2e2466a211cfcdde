"""Cards: what there is to know of a method beyond its fields, read off the docstring of its class."""

import inspect
import re
from dataclasses import dataclass, fields
from typing import Any

#: How the paragraph of a docstring begins that holds each part of the card; of a layer or of anything else.
PARAGRAPHS = {
    "equals": ("*Changes nothing when*", "*Equals BatchNorm when*"),
    "helps": ("*Helps when*",),
    "does_not_help": ("*Does not help when*",),
    "cost": ("Cost:",),
    "limits": ("Limits:",),
    "reference": ("Reference:",),
}
_FORMULA = re.compile(r"\n\n([^\n]+(?:\n[^\n]+)*:):\n\n((?:(?:    .*)?\n)+)")


@dataclass(frozen=True, slots=True)
class Card:
    """A method at a glance; ``equals`` says when it changes nothing: a layer is BatchNorm, a network the original."""

    sentence: str
    symbols: str
    formula: str
    equals: str
    helps: str
    does_not_help: str
    cost: str
    limits: str
    reference: str


def read_card(documented: Any) -> Card:
    """What the docstring of a class or function says, part by part; ValueError names the parts it says nothing of.

    Its paragraphs: a sentence; maybe more on what it does; symbols, ending in two colons, over an indented formula;
    when it changes nothing, when it helps, when not; cost, limits and reference.
    """
    text = inspect.getdoc(documented) or ""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    formula = _FORMULA.search(text)
    symbols, lines = (" ".join(formula[1].split()), inspect.cleandoc("\n" + formula[2])) if formula else ("", "")
    parts = {name: _after(paragraphs, openings) for name, openings in PARAGRAPHS.items()}
    card = Card(paragraphs[0].removesuffix("."), symbols, lines, **parts)
    if missing := [field.name for field in fields(card) if not getattr(card, field.name)]:
        raise ValueError(f"the docstring of {documented.__name__} says nothing of: {', '.join(missing)}")
    return card


def introduction(documented: Any) -> str:
    """The docstring of a class up to its formula: what a schema says of it."""
    text = inspect.getdoc(documented) or ""
    formula = _FORMULA.search(text)
    return text[: formula.start()] if formula else text


def _after(paragraphs: list[str], openings: tuple[str, ...]) -> str:
    """What stands in the paragraph that begins with one of ``openings``, after these words."""
    for opening in openings:
        for paragraph in paragraphs:
            if paragraph.startswith(opening):
                return paragraph.removeprefix(opening).strip()
    return ""
