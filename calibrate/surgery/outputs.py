"""Outputs: the tensors that a network puts out, by name, whatever holds them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

#: The name of logits (N, K) that are all a network puts out, and of any other tensor that has none of its own.
LOGITS, OUTPUT = "logits", "output"


def named_outputs(output: Any, taken: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors in ``output`` by name: keys and fields name them, else their places do.

    Mappings, lists, tuples and dataclasses may hold each other; what is no tensor is left out. No tensor is called as
    one of ``taken``.

    >>> import torch
    >>> one = torch.zeros(2, 3)
    >>> list(named_outputs(one)), list(named_outputs((one, one[0]))), list(named_outputs({"out": one, "aux": [one]}))
    (['logits'], ['output', 'output_1'], ['out', 'aux_0'])
    """
    if isinstance(output, Tensor):
        return {LOGITS if output.dim() == 2 else OUTPUT: output}
    named: dict[str, Tensor] = {}
    for path, tensor in _tensors(output, ()):
        name = base = _name(path)
        again = 1
        while name in named or name in taken:
            again += 1
            name = f"{base}_{again}"
        named[name] = tensor
    return named


def _tensors(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
        return
    parts: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        parts = value
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = dict(zip(value._fields, value, strict=True))
    elif isinstance(value, list | tuple):
        parts = dict(enumerate(value))
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
    for key, part in parts.items():
        yield from _tensors(part, (*path, key))


def _name(path: tuple[Any, ...]) -> str:
    if path == (0,):
        return OUTPUT
    named = path if isinstance(path[0], str) else (OUTPUT, *path)
    return re.sub(r"\W", "_", "_".join(str(part) for part in named))
