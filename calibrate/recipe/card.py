"""The card: what there is to know of a method beyond its fields."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """A method at a glance; ``equals`` says when it changes nothing: a layer is BatchNorm, a network as it came."""

    sentence: str
    symbols: str
    formula: str
    equals: str
    helps: str
    does_not_help: str
    cost: str
    limits: str
    reference: str
