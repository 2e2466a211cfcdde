"""What the objects of a pickle hold: the state dict of a network that was pickled whole, the numbers of an array."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from calibrate.io.pickles.stand_ins import DamagedPickleError, StandIn
from calibrate.io.pickles.stored_tensors import is_count

#: How deep a state dict may lie in the document, and how much a network may hold: torch's largest have 10,000 names.
_DEEPEST_STATE, _DEEPEST_MODULE, _MOST_NAMES, _MOST_LETTERS = 4, 100, 200_000, 50_000_000
#: How many entries there may be down to that depth, each counted as often as it is referred to.
_LONGEST_WALK = 5_000_000

_NUMBERS = {
    **{f"f{size}": dtype for size, dtype in ((2, torch.float16), (4, torch.float32), (8, torch.float64))},
    **{f"i{size}": dtype for size, dtype in ((1, torch.int8), (2, torch.int16), (4, torch.int32), (8, torch.int64))},
    **{f"u{size}": dtype for size, dtype in ((1, torch.uint8), (2, torch.uint16), (4, torch.uint32))},
    "b1": torch.bool,
    "?": torch.bool,
}


class PickledNetwork(dict[str, Any]):
    """The state dict of a network that was pickled whole, and the name of the network's class."""

    def __init__(self, network: str, entries: Mapping[str, Any]) -> None:
        super().__init__(entries)
        self.network = network


def opened_up(document: Any) -> Any:
    """``document`` with networks as their state dicts, arrays as tensors and derived dicts as dicts.

    This goes as deep into nested dicts as state dicts lie. An object that holds a network is a dict of its networks,
    one that is made from a network is that network; all other stand-ins stay what they are.
    """
    return _Opening().opened(document, _DEEPEST_STATE)[0]


def kind_of(value: Any) -> str:
    """What to call ``value`` in a message: its class, or for a stand-in the class it stands for."""
    if not isinstance(value, StandIn):
        return type(value).__name__
    if value.made_by.startswith("numpy.") and value.made_by.endswith(("_reconstruct", "_frombuffer")):
        array = _array_parts(value)
        return f"numpy array of {array[1]!r}" if array else "numpy array of objects"
    return value.made_by[:80] if value.made_by.isprintable() else "object"


def networks_in(document: Any, depth: int = _DEEPEST_STATE) -> dict[str, str]:
    """The classes of the networks that were pickled whole in an opened ``document``, by their dotted paths in it."""
    if isinstance(document, PickledNetwork):
        return {"": document.network}
    found: dict[str, str] = {}
    if isinstance(document, dict) and depth:
        for key, value in document.items():
            inner = networks_in(value, depth - 1) if isinstance(value, dict) and isinstance(key, str) else {}
            found |= {f"{key}.{path}".removesuffix("."): network for path, network in inner.items()}
    return found


class _Budget:
    """How many entries and letters of new names a document may be opened up to, since parts of it may be shared."""

    def __init__(self) -> None:
        self._entries, self._letters = _LONGEST_WALK, _MOST_LETTERS

    def spend(self, entries: int, letters: int) -> None:
        self._entries -= entries
        self._letters -= letters
        if self._entries < 0 or self._letters < 0:
            raise DamagedPickleError("its objects refer to the same parts without end")


class _Opening:
    """One walk through a document; what is met again is the same again, however often the file refers to it.

    Who walks through the result without such a memory meets it as often as the file refers to it, so that is bounded.
    """

    def __init__(self) -> None:
        self._opened: dict[tuple[int, int], tuple[Any, int]] = {}
        self._bytes: dict[int, bytearray] = {}
        self._budget = _Budget()

    def opened(self, value: Any, depth: int) -> tuple[Any, int]:
        """What ``value`` is, and how much there is to walk through in it."""
        if not isinstance(value, dict | StandIn) or not depth:
            return value, 1
        known = (id(value), depth)
        if known not in self._opened:
            if isinstance(value, dict):
                self._opened[known] = self._of_dict(value, depth)
            else:
                self._opened[known] = self._of(value, depth)
        return self._opened[known]

    def _of_dict(self, entries: Mapping[Any, Any], depth: int) -> tuple[dict[Any, Any], int]:
        made, walk = {}, 1
        for key, value in entries.items():
            self._budget.spend(1, len(key) if isinstance(key, str) and not key.isascii() else 0)
            made[_text(key)], steps = self.opened(value, depth - 1)
            walk += steps
        if walk > _LONGEST_WALK:
            raise DamagedPickleError("its entries refer to the same others over and over")
        return made, walk

    def _of(self, stand_in: StandIn, depth: int) -> tuple[Any, int]:
        if is_network(stand_in):
            state = network_state(stand_in, self._budget)
            return PickledNetwork(stand_in.made_by, state), len(state)
        if stand_in.entries:
            return self._of_dict(stand_in.entries, depth)
        array = self._tensor(stand_in)
        if array is not None:
            return array, 1
        for wrapped in stand_in.args[:4]:  # as torch.compile makes its network from the one given to it
            if isinstance(wrapped, StandIn) and is_network(wrapped):
                return self.opened(wrapped, depth)
        attributes, walk = self._of_dict(stand_in.attributes, depth)
        networks = {name: found for name, found in attributes.items() if _holds_network(found)}
        return (networks, walk) if networks else (stand_in, 1)

    def _tensor(self, stand_in: StandIn) -> Tensor | None:
        """The tensor of a numpy array, where its parts belong together; the bytes of an array are copied once."""
        shape, kind, fortran, content = _array_parts(stand_in) or ((), "", False, b"")
        dtype = _NUMBERS.get(kind)
        numel = math.prod(shape)
        if dtype is None or numel >= 2**48 or numel * dtype.itemsize != len(content):
            return None
        if not numel:
            return torch.empty(shape, dtype=dtype)
        if id(content) not in self._bytes:  # the document keeps what the id stands for
            self._bytes[id(content)] = bytearray(_encoded(content))
        flat = torch.frombuffer(self._bytes[id(content)], dtype=dtype)
        if not fortran or not shape:
            return flat.reshape(shape)
        return flat.reshape(shape[::-1]).permute(*reversed(range(len(shape))))


def _holds_network(found: Any) -> bool:
    held = found.values() if isinstance(found, dict) else ()
    return isinstance(found, PickledNetwork) or any(isinstance(value, PickledNetwork) for value in held)


def _text(key: Any) -> Any:
    """``key``, where it is text with what is no Unicode spelled out, since nothing can be written under such a name."""
    if not isinstance(key, str) or key.isascii():
        return key
    return key.encode("utf-8", "backslashreplace").decode("utf-8")


def is_network(stand_in: StandIn) -> bool:
    """Whether ``stand_in`` stands for a torch.nn.Module."""
    return all(isinstance(stand_in.attributes.get(part), dict) for part in ("_parameters", "_buffers", "_modules"))


def network_state(network: StandIn, budget: _Budget) -> dict[str, Any]:
    """What ``network.state_dict()`` would give, if no class in it has its own idea of that.

    A child that is no network is an entry under its name, for the reader of the state dict to refuse.
    """
    state: dict[str, Any] = {}
    waiting: list[tuple[str, int, Any]] = [("", 0, network)]
    visited = 0
    while waiting:
        prefix, depth, module = waiting.pop()
        if not isinstance(module, StandIn) or not is_network(module):
            state[_text(prefix.removesuffix("."))] = module
            continue
        attributes = module.attributes
        budget.spend(sum(len(attributes[part]) for part in ("_parameters", "_buffers", "_modules")) + 1, 0)
        held, children = _parts(module, budget)
        visited += 1 + len(held)
        names = sum(len(str(name)) for name, _ in (*held, *children))
        budget.spend(0, len(prefix) * (len(held) + len(children)) + names)
        if depth > _DEEPEST_MODULE or visited > _MOST_NAMES:
            raise DamagedPickleError("its network refers to its own parts without end")
        state.update({_text(f"{prefix}{name}"): value for name, value in held})
        waiting += [(f"{prefix}{name}.", depth + 1, child) for name, child in reversed(children)]
    return state


def _parts(module: StandIn, budget: _Budget) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """The entries of a module's own state dict, and its children."""
    attributes = module.attributes
    passing = attributes.get("_non_persistent_buffers_set")
    budget.spend(len(passing) if isinstance(passing, list) else 0, 0)
    left_out = {name for name in passing if isinstance(name, str)} if isinstance(passing, list) else set()
    buffers = [(name, value) for name, value in attributes["_buffers"].items() if name not in left_out]
    held = [*attributes["_parameters"].items(), *buffers]
    children = [*attributes["_modules"].items()]
    return [item for item in held if item[1] is not None], [item for item in children if item[1] is not None]


def _array_parts(stand_in: StandIn) -> tuple[tuple[int, ...], str, bool, bytes | bytearray | str] | None:
    """Shape, dtype (numpy's short name), whether the first axis is the fastest, and bytes of a numpy array."""
    make = _ARRAYS.get(stand_in.made_by.replace("numpy._core.", "numpy.core."))
    parts = make(stand_in) if make else None
    if parts is None:
        return None
    shape, dtype, fortran, content = parts
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(map(is_count, shape)):
        return None
    if not isinstance(dtype, StandIn) or dtype.made_by != "numpy.dtype":
        return None
    if not isinstance(content, bytes | bytearray | str):
        return None
    code = dtype.args[0] if dtype.args else None
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "="
    if not isinstance(code, str) or not isinstance(order, str):
        return None
    swapped = order not in ("<", "|", "=") or code.startswith(">")
    return shape, (f"{order}{code}" if swapped else code.lstrip("<|="))[:20], fortran is True, content


def _encoded(content: bytes | bytearray | str) -> bytes | bytearray:
    """Python 2 has its bytes in strings, of which it must be one for each letter."""
    return content.encode("latin-1", "replace") if isinstance(content, str) else content


def _built(stand_in: StandIn) -> tuple[Any, Any, Any, Any] | None:
    match stand_in.state:
        case (_, shape, dtype, fortran, content) | (shape, dtype, fortran, content):
            return shape, dtype, fortran, content
    return None


def _from_buffer(stand_in: StandIn) -> tuple[Any, Any, Any, Any] | None:
    match stand_in.args:
        case (content, dtype, shape, order):
            return shape, dtype, order == "F", content
    return None


_ARRAYS: dict[str, Callable[[StandIn], tuple[Any, Any, Any, Any] | None]] = {
    "numpy.core.multiarray._reconstruct": _built,
    "numpy.core.numeric._frombuffer": _from_buffer,
}
