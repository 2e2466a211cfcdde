"""Every error a user can cause: each names the value, the rule and the next move.

The class says how the command line ends (``exit_code``); the message is one paragraph, shown without a traceback.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

#: So many characters of a message are shown at most, and so many of its end, which says what to do.
LONGEST, END = 1500, 400


def paragraph(message: str) -> str:
    r"""``message`` without its middle where it is long, and with escapes for what cannot be printed.

    Parts of it may be from a file that means harm, or is damaged.

    >>> paragraph("no class '\x1b[2J' …")
    "no class '\\x1b[2J' …"
    """
    if len(message) > LONGEST:
        message = f"{message[: LONGEST - END]} […] {message[-END:]}"
    if message.isprintable():
        return message
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in message)


def said(error: BaseException, most: int = 300) -> str:
    r"""The class and the message of an error that is not ours, on one line without a full stop.

    Of the message ``most`` characters at most are shown, cut between words where it has any.

    >>> said(ValueError("too\n  wide.")), said(MemoryError()), said(ValueError("too wide by far"), 9)
    ('ValueError: too wide', 'MemoryError', 'ValueError: too wide …')
    """
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split()).rstrip(".: ")
    if len(text) > most:
        text = f"{text[: most + 1].rpartition(' ')[0] or text[:most]} …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class AfternormError(Exception):
    """Something the user can act on; the message says how, as one :func:`paragraph`."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(paragraph(message))


class UsageError(AfternormError):
    """The request itself cannot be carried out as asked: a bad option, recipe or combination."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe, outputs or preprocessing document that breaks its schema.

    ``fields`` holds one ``(json_path, message)`` pair for each broken field.
    """

    def __init__(self, message: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class ModelError(AfternormError):
    """The checkpoint, the architecture and each other do not fit."""


class NonFiniteError(ModelError):
    """Logits that are infinite or not a number, for ``broken`` of so many ``examples``; ``because`` of what."""

    def __init__(self, broken: int, examples: int, because: str = "") -> None:
        self.broken, self.examples = broken, examples
        what = f"the network gives logits that are infinite or not a number for {broken} of {examples} examples"
        super().__init__(
            f"{what}: {because}"
            if because
            else f"{what}, and such an example has no score; check whether half precision overflows (try float32), and "
            "whether the preprocessing (mean, std, value range) is the one the network was trained with."
        )


class DataError(AfternormError):
    """The data cannot be read, or do not fit the model."""


class UnsafeInputError(AfternormError):
    """The input tries something a checkpoint or data file has no business doing; nothing of it was used."""

    exit_code = 4


class UnavailableError(AfternormError):
    """Something this machine lacks is needed: a runtime, a device, an optional package."""

    exit_code = 5


class ExportError(AfternormError):
    """The exported file does not compute what the model computes, so it was not written."""


class TrialsError(AfternormError):
    """Finished passes cannot be kept where they were asked to be."""


class GateError(AfternormError):
    """The run went well, but its verdict is not the one that was required."""

    exit_code = 6


class BatchError(AfternormError):
    """Runs of a batch failed, and none is finished."""


class PartialBatchError(BatchError):
    """Some runs of a batch are finished, and others failed or were not started."""

    exit_code = 3


def meant(name: str, known: Iterable[str]) -> str:
    """What a message adds to a name that is none of the ``known``: the closest of them, where one is close.

    >>> f"there is no layer 'StochNrm'{meant('StochNrm', ['GroupNorm', 'StochNorm'])}"
    "there is no layer 'StochNrm', but 'StochNorm'"
    """
    close = get_close_matches(name, known, 1)
    return f", but {close[0]!r}" if close else ""


def require_kind(value: object, kinds: type | tuple[type, ...], name: str, instead: str) -> None:
    """Raise UsageError where the argument ``name`` is of no such class; ``instead`` is what to give."""
    if not isinstance(value, kinds):
        raise UsageError(f"{name} is {value!r:.80}, of the class {type(value).__name__}; give {instead}.")
