"""What a pickle would import, found by reading it, never by running it."""

import pickletools
from typing import Any, BinaryIO


def pickle_globals(stream: BinaryIO) -> tuple[str, ...]:
    r"""The dotted names of all globals that the pickles at the start of ``stream`` ask for, in their order.

    Reading ends where no pickle follows. Text is sometimes a pickle's beginning by accident, so what does not begin
    as a binary pickle counts only when it is whole.

    >>> from io import BytesIO
    >>> pickle_globals(BytesIO(b"cos\nsystem\n(S'ls'\ntR."))
    ('os.system',)
    """
    found: list[str] = []
    whole = True
    while whole:
        names, binary, whole = _one_pickle(stream)
        if binary or whole:
            found += names
    return tuple(dict.fromkeys(found))


def _one_pickle(stream: BinaryIO) -> tuple[list[str], bool, bool]:
    """The globals of the next pickle, whether it begins as a binary one, and whether its end was found."""
    names: list[str] = []
    strings: list[str] = []
    memo: dict[int, str] = {}
    binary = False
    try:
        for opcode, operand, _ in pickletools.genops(stream):
            argument: Any = operand
            match opcode.name:
                case "PROTO":
                    binary = True
                case "GLOBAL" | "INST":
                    names.append(argument.replace(" ", "."))
                case "STACK_GLOBAL":
                    names.append(".".join(strings[-2:]))
                case "MEMOIZE" | "PUT" | "BINPUT" | "LONG_BINPUT":
                    memo[len(memo) if argument is None else argument] = strings[-1] if strings else ""
                case "GET" | "BINGET" | "LONG_BINGET":
                    strings.append(memo.get(argument, ""))
                case "STOP":
                    return names, binary, True
                case _ if isinstance(argument, str):
                    strings.append(argument)
    except Exception:  # a damaged pickle can break the disassembler in any way; what was read so far counts
        return names, binary, False
    return names, binary, False
