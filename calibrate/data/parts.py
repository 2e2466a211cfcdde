"""The parts of data that hold several, such as train, val and test: which of them is read."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from calibrate.errors import DataError
from calibrate.result import Finding

#: The parts, and what people call them; FER2013 calls its last two PublicTest and PrivateTest.
NAMES: Final = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "eval", "publictest"),
    "test": ("test", "testing", "privatetest"),
}
_BEHIND = re.compile(r"[-_ ]?(set|data|dataset|split|images?|imgs?|[0-9]+)$")
_WITHIN = re.compile(rf"(?<![a-z])({'|'.join(name for usual in NAMES.values() for name in usual)})(?![a-z])")
_CAPITAL = re.compile("(?<=[a-z])(?=[A-Z])")
#: What is read where no part is named, the first that there is: to measure on, to learn from, and to test on.
EVALUATION: Final = ("val", "test")
TRAINING: Final = ("train",)
TESTING: Final = ("test", "val")


def part_of(name: str) -> str | None:
    """The part that ``name`` is usual for, with or without a word such as set behind it, or a number.

    >>> [part_of(name) for name in ("Validation", "training_set", "val2017", "cat")]
    ['val', 'train', 'val', None]
    """
    plain = _BEHIND.sub("", name.lower())
    return next((part for part, usual in NAMES.items() if plain in usual), None)


def parts_among(held: Collection[str]) -> dict[str, str]:
    """The part of each of the names ``held`` that is usual for one, or differs from others in the part's name alone.

    >>> parts_among({"seg_train", "seg_test", "seg_pred"}) == {"seg_train": "train", "seg_test": "test"}
    True
    >>> parts_among({"bullet_train", "test_tube"})
    {}
    """
    found = {name: part for name in held if (part := part_of(name)) is not None}
    alike: dict[str, dict[str, str]] = {}
    for name in held:
        plain = _CAPITAL.sub("_", name).lower()
        for word in _WITHIN.finditer(plain):
            around = f"{plain[: word.start()]}/{plain[word.end() :]}"
            alike.setdefault(around, {})[name] = part_of(word[0]) or ""
    return found | {
        name: part for named in alike.values() if len(set(named.values())) > 1 for name, part in named.items()
    }


@dataclass(frozen=True, slots=True)
class Part:
    """Which part is wanted: the one that is ``named``, else the first of the ``usual`` ones that there is."""

    named: str | None = None
    usual: tuple[str, ...] = EVALUATION

    def among(self, held: Collection[str]) -> bool:
        """Whether ``held`` are the names of parts: all are usual ones, or two different parts are there, or the named.

        A single part among other names is none: a class may be called train, beside plane and car.
        """
        if self.named is not None:
            return bool(self._matching(held, self.named))
        known = parts_among(held)
        return bool(known) and (len(known) == len(set(held)) or len(set(known.values())) > 1)

    def choose(self, held: Collection[str], source: str) -> tuple[str, tuple[Finding, ...]]:
        """The one of the parts ``held`` that is wanted, and what to say about it."""
        listed = ", ".join(sorted(held))
        for wanted in self.usual if self.named is None else (self.named,):
            found = self._matching(held, wanted)
            if len(found) > 1:
                raise DataError(
                    f"{source} holds the parts {listed}, of which {' and '.join(found)} are both {wanted}; name one of "
                    "them with --split."
                )
            if found and self.named is None:
                message = f"{source} holds the parts {listed}, and {found[0]} was read; --split names another."
                if len(held) == 1:
                    message = f"the part {listed} of {source} was read; it holds no other."
                return found[0], (Finding(code="part-taken", severity="info", message=message),)
            if found:
                return found[0], ()
        if self.named is not None:
            raise DataError(
                f"{source} has no part {self.named!r}; it holds {listed or 'none'}. Name one of them with --split."
            )
        raise DataError(
            f"{source} holds {listed}, and none of that is {' or '.join(self.usual)}; name with --split the part to "
            "read (scores on what a network learned from prove nothing)."
        )

    def refuse(self, source: str, why: str) -> None:
        """Raise where a part is named, and the data have none, because of ``why``."""
        if self.named is not None:
            raise DataError(
                f"{source} has no part {self.named!r}: {why}; name one that there is, or leave --split out."
            )

    def refuse_unnamed(self, held: Collection[str], place: str) -> None:
        """Raise where ``held`` names training data among what is no usual part, and no part is named."""
        if self.named is None and self.usual != TRAINING and "train" in map(part_of, held):
            listed = ", ".join(repr(name) for name in sorted(held)[:8])
            raise DataError(
                f"{place} holds {listed}, so that training data may be among the rest; name with --split the part to "
                "read (scores on what a network learned from prove nothing)."
            )

    @staticmethod
    def _matching(held: Collection[str], wanted: str) -> list[str]:
        """The names in ``held`` that are ``wanted``: to the letter, else in other capitals, else by their meaning."""
        known = parts_among(held)
        for same in (
            lambda name: name == wanted,
            lambda name: name.lower() == wanted.lower(),
            lambda name: name in known and known[name] == part_of(wanted),
        ):
            if found := sorted(filter(same, held)):
                return found
        return []


def with_part(name: str, part: str | None) -> str:
    """What data are called of which one ``part`` is read; None where they have no parts.

    >>> with_part("digits.npz", "val"), with_part("digits.npz", None)
    ('digits.npz (val)', 'digits.npz')
    """
    return name if part is None else f"{name} ({part})"


#: No part is named.
ANY_PART: Final = Part()
