"""Plain values that pickles have made by calling Python's own constructors, made here of their arguments."""

from collections.abc import Callable
from typing import Any

from calibrate.io.pickles.stand_ins import key_for

#: Counts how much is copied, and raises where that is more than the file can honestly need.
Charge = Callable[[int], None]


def _mapping(charge: Charge, args: tuple[Any, ...]) -> Any:
    if not args or isinstance(args[0], dict):
        return args[0] if args else {}
    if not isinstance(args[0], list | tuple):
        return None
    charge(len(args[0]))
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in args[0]):
        return None
    return {key_for(key): value for key, value in args[0]}


def _first(kinds: type | tuple[type, ...], instead: Callable[[], Any]) -> Callable[[Charge, tuple[Any, ...]], Any]:
    return lambda _, args: args[0] if args and isinstance(args[0], kinds) else instead()


def _text_as_bytes(charge: Charge, args: tuple[Any, ...]) -> Any:
    match args:
        case (str() as text, "latin1" | "latin-1" | "iso-8859-1"):
            charge(len(text))
            return text.encode("latin-1")
        case ():
            return b""
        case (bytes() | bytearray(),):
            return args[0]
    return None


def _complex(_: Charge, args: tuple[Any, ...]) -> Any:
    return complex(*args) if len(args) == 2 and all(isinstance(part, float) for part in args) else None


#: What is carried out; of the arguments nothing is copied that is not charged. Sets and deques are read as lists.
MAKERS: dict[str, Callable[[Charge, tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _mapping,
    "collections.Counter": _mapping,
    "collections.defaultdict": lambda _, args: args[1] if len(args) == 2 and isinstance(args[1], dict) else {},
    "collections.deque": _first(list, list),
    "builtins.dict": _mapping,
    "builtins.list": _first(list, list),
    "builtins.set": _first(list, list),
    "builtins.frozenset": _first(list, list),
    "builtins.tuple": _first(tuple, tuple),
    "builtins.bytearray": _text_as_bytes,
    "builtins.bytes": _text_as_bytes,
    "builtins.complex": _complex,
    "_codecs.encode": _text_as_bytes,
    "torch.Size": _first(tuple, tuple),
    "torch.serialization._get_layout": _first(str, str),
}
