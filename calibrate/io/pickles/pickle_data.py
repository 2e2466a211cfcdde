"""A pickle read as data: a stack machine that knows no way to import, call or instantiate what the pickle names.

A pickle is a program for Python's unpickler. Here the same instructions build plain values, torch tensors over the
file's own storages, and, for everything else, a :class:`StandIn`: which global was asked for, with which arguments and
state. A global is two words (:class:`~calibrate.io.pickles.pickled_names.Global`), never the thing that they name. The
few constructors that are carried out are functions of :mod:`calibrate.io.pickles.plain_values` and
:mod:`calibrate.io.pickles.stored_tensors`, found in closed tables.

torch's own weights-only reader could have been given stand-ins for classes, but it knows only the instructions of
protocol 2, fills no classes derived from dict or list (which trainers' records are), resolves names by a table of the
whole process, and calls what is in that table with arguments of the file's choosing, among them ``bytearray(n)`` and
``torch.Tensor(n)``, for any n. One reader for all files also means one answer for the same content in every format.

Cost: memory and time are linear in the pickle's length. What could grow faster is not done: arguments are shared and
not copied, keys that are no plain scalars are compared by identity, nothing recurses.
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn, cast

from torch import Tensor

from calibrate.io.pickles.pickled_names import Global, is_foreign, may_be_called, may_be_named, present_name
from calibrate.io.pickles.plain_values import MAKERS
from calibrate.io.pickles.stand_ins import DamagedPickleError, StandIn, UnsafePickleError, described, key_for, shown
from calibrate.io.pickles.stored_tensors import Storage, empty_tensor, fill_, rebuilt

#: More instructions than any honest file has; an optimiser's state of 10,000 tensors takes half a million.
MOST_INSTRUCTIONS = 5_000_000
_LONGEST_NAME = 1000
#: What makes the record of a class's ``__new__``; no pickle can name it.
_NEW = "object.__new__ of"


class PickleReader:
    """Reads the pickle at the start of ``stream`` as data.

    ``size`` is how many bytes there are to read, and bounds what is made of them. ``storage`` gives the storage for a
    persistent id, ``nested`` the one in bytes, which a tensor has that pickle.dump wrote.
    """

    def __init__(
        self,
        stream: BinaryIO,
        size: int,
        storage: Callable[[Any], Storage | Global | None] = lambda _: None,
        nested: Callable[[bytes], Any] | None = None,
    ) -> None:
        self._stream = stream
        self._allowance = 2 * size + 2**16
        self._storage = storage
        self._nested = nested
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._protocol = 0

    def read(self) -> Any:
        """The value, where the pickle is whole; raises UnsafePickleError and DamagedPickleError."""
        try:
            for number, (opcode, argument, _) in enumerate(pickletools.genops(self._stream)):
                if opcode.name == "STOP":
                    return self._stack.pop()
                if number >= MOST_INSTRUCTIONS:
                    raise DamagedPickleError(f"it has more than {MOST_INSTRUCTIONS:,} instructions")
                handler = _HANDLERS.get(opcode.name)
                if handler is not None:
                    handler(self, argument)
                elif opcode.stack_before or argument is None:
                    raise DamagedPickleError(f"the instruction {opcode.name} has no place in a file")
                else:
                    self._stack.append(argument)
        except (UnsafePickleError, DamagedPickleError):
            raise
        except Exception as error:  # a damaged pickle can break the disassembler, and every operation, in any way
            raise DamagedPickleError from error
        raise DamagedPickleError("it has no end")

    # Globals and what is done with them

    def _named(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnsafePickleError("a global whose name is no text")
        if len(module) + len(name) > _LONGEST_NAME:
            raise UnsafePickleError(f"a global whose name has {len(module) + len(name):,} letters")
        if self._protocol < 3:
            module, name = present_name(module, name)
        target = Global(module, name)
        if not may_be_named(target):
            self._refuse(shown(target))
        return target

    def _called(self, target: Any, args: Any) -> Any:
        if (new := _instantiated(target)) and args == ():
            return self._instance(new, ())
        if not isinstance(target, Global):
            self._refuse(f"a call of {described(target)}")
            return StandIn(described(target), args if isinstance(args, tuple) else (args,))
        if not isinstance(args, tuple):
            raise DamagedPickleError(f"{shown(target)} is called with {described(args)}")
        if target.module == "copyreg":
            return self._through_copyreg(target.name, args)
        if target.dotted == "builtins.getattr":
            return self._attribute(args)
        if not _is_plain_call(target, args):
            self._refuse(shown(target))
        return self._made(target, args)

    def _made(self, target: Global, args: tuple[Any, ...]) -> Any:
        tensor = rebuilt(target, args)
        if tensor is not None:
            return tensor
        if target.dotted == "torch.storage._load_from_bytes":
            if self._nested and args and isinstance(args[0], bytes):
                self._charge(len(args[0]))
                return self._nested(args[0])
            self._refuse(target.dotted)
        maker = MAKERS.get(target.dotted)
        value = None if maker is None else maker(self._charge, args)
        return StandIn(target.dotted, args) if value is None else value

    def _instance(self, target: Any, args: Any) -> Any:
        """What NEWOBJ makes: of packages any class, since one in lower case cannot be told from a function by name."""
        if not isinstance(target, Global) or not isinstance(args, tuple):
            self._refuse(f"an instance of {described(target)}")
            return StandIn(described(target), args if isinstance(args, tuple) else (args,))
        if not is_foreign(target):
            if not _is_plain_call(target, args):
                self._refuse(shown(target))
            return self._made(target, args)
        tensor = empty_tensor(target, args)
        return StandIn(target.dotted, args) if tensor is None else tensor

    def _through_copyreg(self, name: str, args: tuple[Any, ...]) -> Any:
        if name == "_reconstructor" and len(args) == 3:
            made = self._instance(args[0], ())
            if isinstance(made, StandIn):
                made.entries = args[2] if isinstance(args[2], dict) else None
                made.items = args[2] if isinstance(args[2], list) else None
            return made
        if name == "__newobj__" and args:
            return self._instance(args[0], args[1:])
        if name == "__newobj_ex__" and len(args) == 3:
            return self._instance(args[0], args[1])
        raise UnsafePickleError(f"copyreg.{name:.80}")

    def _attribute(self, args: tuple[Any, ...]) -> Any:
        """``getattr``: how a nested class, a class's method and a member of an enum are pickled, and nothing else."""
        owner, name = args if len(args) == 2 else (None, None)
        owner_name = owner.dotted if isinstance(owner, Global) else owner.made_by if isinstance(owner, StandIn) else ""
        if isinstance(owner, Global) and is_foreign(owner) and name == "__new__":
            return StandIn(_NEW, (owner,))
        module, _, rest = owner_name.partition(".")
        honest = isinstance(name, str) and name.isidentifier() and not name.startswith("__") and rest
        if not (honest and is_foreign(Global(module, rest))):
            self._refuse("builtins.getattr")
        if isinstance(owner, Global) and isinstance(name, str):
            self._charge(len(owner.name) + len(name))
            return self._named(owner.module, f"{owner.name}.{name}")
        return StandIn("builtins.getattr", args)

    def _built(self, state: Any) -> None:
        target = self._stack[-1]
        if isinstance(target, StandIn):
            target.state = state
        elif isinstance(target, Tensor):
            fill_(target, state)
        elif isinstance(target, Global):
            self._refuse(f"a change of {shown(target)}")
        elif not isinstance(target, dict):  # an OrderedDict's attributes, a state dict's _metadata, are of no use here
            raise DamagedPickleError(f"{described(target)} takes no state")

    def _refuse(self, what: str) -> None:
        """Refuse the pickle for asking for ``what``; without it nothing would run either, which a test shows."""
        raise UnsafePickleError(what)

    def _extension(self, _: Any) -> NoReturn:
        raise UnsafePickleError("an object of Python's extension registry")

    def _persistent(self, identity: Any) -> None:
        found = self._storage(identity)
        if found is None:
            raise UnsafePickleError("an object outside the pickle that is no storage")
        self._stack.append(found)

    # The stack

    def _set_protocol(self, protocol: int) -> None:
        if protocol > 5:
            raise DamagedPickleError(f"its protocol is {protocol}")
        self._protocol = protocol

    def _remember(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _tuple_of(self, length: int) -> None:
        if len(self._stack) < length:
            raise DamagedPickleError("it takes more from its stack than there is")
        self._stack[-length:] = [tuple(self._stack[-length:])]

    def _replace_two(self, make: Callable[[Any, Any], Any]) -> None:
        second = self._stack.pop()
        self._stack[-1] = make(self._stack[-1], second)

    def _instance_with_keywords(self, _: Any) -> None:
        self._stack.pop()  # which say nothing that a stand-in could use
        self._replace_two(self._instance)

    def _class_call(self, operand: str | None) -> None:
        items = self._since_mark()
        target = items.pop(0) if operand is None else self._named(*operand.split(" ", 1))
        self._stack.append(self._called(target, tuple(items)))

    # Containers

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, StandIn):
            target.items = target.items if isinstance(target.items, list) else []
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise DamagedPickleError(f"{described(target)} takes no items")

    def _set(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, StandIn):
            target.entries = target.entries if isinstance(target.entries, dict) else {}
            target = target.entries
        if not isinstance(target, dict) or len(pairs) % 2:
            raise DamagedPickleError(f"{described(target)} takes no entries")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[key_for(key)] = value

    def _mapping_since_mark(self) -> None:
        pairs = self._since_mark()
        self._stack.append({})
        self._set(pairs)

    def _charge(self, size: int) -> None:
        """Count what is copied: an honest pickle uses each argument once, so all copies are no longer than it is."""
        self._allowance -= size
        if self._allowance < 0:
            raise DamagedPickleError("it copies more than it holds")


def _is_plain_call(target: Global, args: tuple[Any, ...]) -> bool:
    if target.dotted == "builtins.type":  # the class of None, ... and NotImplemented, which have no other name
        return len(args) == 1 and (args[0] is None or (isinstance(args[0], Global) and args[0].module == "builtins"))
    if target.module in ("operator", "_operator"):  # annotations: Optional[int], int | None
        return bool(args) and isinstance(args[0], Global | StandIn)
    return may_be_called(target)


def _instantiated(target: Any) -> Global | None:
    """The class, where ``target`` is ``partial(getattr(class, "__new__"), ...)``, as NEWOBJ_EX is before protocol 4."""
    if isinstance(target, StandIn) and target.made_by == "functools.partial" and target.args:
        function = target.args[0]
        if isinstance(function, StandIn) and function.made_by == _NEW:
            return cast("Global", function.args[0])
    return None


def _push(make: Callable[[PickleReader, Any], Any]) -> Callable[[PickleReader, Any], None]:
    def handler(reader: PickleReader, argument: Any) -> None:
        made = make(reader, argument)  # which may change which stack is the reader's
        reader._stack.append(made)

    return handler


#: One for each instruction that does more than to push its operand.
_HANDLERS: dict[str, Callable[[PickleReader, Any], Any]] = {
    "PROTO": PickleReader._set_protocol,
    "FRAME": lambda _reader, _size: None,
    "NONE": _push(lambda _reader, _: None),
    "NEWTRUE": _push(lambda _reader, _: True),
    "NEWFALSE": _push(lambda _reader, _: False),
    "EMPTY_DICT": _push(lambda _reader, _: {}),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), _push(lambda _reader, _: [])),
    "EMPTY_TUPLE": _push(lambda _reader, _: ()),
    **dict.fromkeys(("LIST", "FROZENSET"), _push(lambda reader, _: reader._since_mark())),
    "TUPLE": _push(lambda reader, _: tuple(reader._since_mark())),
    "TUPLE1": lambda reader, _: reader._tuple_of(1),
    "TUPLE2": lambda reader, _: reader._tuple_of(2),
    "TUPLE3": lambda reader, _: reader._tuple_of(3),
    "MARK": PickleReader._mark,
    "POP": PickleReader._pop,
    "POP_MARK": lambda reader, _: reader._since_mark(),
    "DUP": _push(lambda reader, _: reader._stack[-1]),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _push(lambda reader, place: reader._memo[place])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleReader._remember),
    "APPEND": lambda reader, _: reader._extend([reader._stack.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda reader, _: reader._extend(reader._since_mark())),
    "DICT": lambda reader, _: reader._mapping_since_mark(),
    "SETITEMS": lambda reader, _: reader._set(reader._since_mark()),
    "SETITEM": lambda reader, _: reader._set([reader._stack.pop(-2), reader._stack.pop()]),
    "GLOBAL": _push(lambda reader, operand: reader._named(*operand.split(" ", 1))),
    "STACK_GLOBAL": lambda reader, _: reader._replace_two(reader._named),
    "REDUCE": lambda reader, _: reader._replace_two(reader._called),
    "NEWOBJ": lambda reader, _: reader._replace_two(reader._instance),
    "NEWOBJ_EX": PickleReader._instance_with_keywords,
    "INST": PickleReader._class_call,
    "OBJ": lambda reader, _: reader._class_call(None),
    "BUILD": lambda reader, _: reader._built(reader._stack.pop()),
    "BINPERSID": lambda reader, _: reader._persistent(reader._stack.pop()),
    "PERSID": PickleReader._persistent,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), PickleReader._extension),
}
