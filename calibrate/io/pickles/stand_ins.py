"""What is made of what a pickle asks for where that is no plain value, and the errors of pickles that ask for more."""

from dataclasses import dataclass
from typing import Any

from calibrate.io.pickles.pickled_names import Global


class UnsafePickleError(Exception):
    """The pickle asks for ``what``, which no honest file asks for."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class DamagedPickleError(Exception):
    """The pickle is no whole pickle."""


@dataclass(eq=False, slots=True)
class StandIn:
    """What stands for an object: the name of what makes it, and what the pickle hands to that, as data."""

    made_by: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] | None = None
    entries: dict[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<stand-in for {self.made_by[:80]!r}>"

    @property
    def attributes(self) -> dict[Any, Any]:
        """The object's ``__dict__``, as far as the pickle sets it in the usual way."""
        state = self.state[0] if isinstance(self.state, tuple) and len(self.state) == 2 else self.state
        return state if isinstance(state, dict) else {}


@dataclass(eq=False, slots=True)
class Key:
    """A key that is no plain scalar, and so is equal to none but itself."""

    value: Any

    def __repr__(self) -> str:
        return f"<key: {type(self.value).__name__}>"


def key_for(value: Any) -> Any:
    """``value`` where it is a scalar whose hash costs nothing, and cannot be chosen to meet another's."""
    kind = type(value)
    if kind in (str, bytes, float, bool) or value is None or (kind is int and abs(value) < 2**60):
        return value
    return Key(value)


def shown(target: Global) -> str:
    """The name of ``target`` for a message: short, and quoted where it is spelled oddly."""
    dotted = target.dotted[:120]
    return dotted if all(part.isidentifier() for part in dotted.split(".")) else repr(dotted)


def described(value: Any) -> str:
    """What to call ``value`` in a message on what a pickle does with it."""
    if isinstance(value, Global):
        return shown(value)
    if isinstance(value, StandIn):
        return f"what {value.made_by:.120} gives" if value.made_by.isprintable() else "another object"
    return f"a {type(value).__name__}"
