"""The state dicts in a checkpoint: found by what they hold, wherever a training script put them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

#: How many mappings deep a state dict may lie.
DEPTH = 5
#: A list of more is none of state dicts.
LONGEST_LIST = 64
#: Where training scripts keep the weights, the likelier first. Only the order of preference comes from it.
USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "module", "params")
DTYPES = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)
_AVERAGED = re.compile(r"(?<![a-z])(ema|swa|avg|averag|polyak|shadow|teacher|target|momentum|encoder_k(?![a-z]))")


@dataclass(frozen=True, eq=False)
class StateDict:
    """Named tensors that lie at ``key`` in a file, a dotted path that is empty for the file itself.

    ``beside`` are its entries that are no tensors. ``unusable`` are tensors without plain values, with what they are.
    """

    key: str
    tensors: dict[str, Tensor]
    beside: tuple[str, ...] = ()
    unusable: dict[str, str] = field(default_factory=dict)


def find_state_dicts(document: Mapping[Any, Any]) -> tuple[StateDict, ...]:
    """All mappings with tensors under string names, up to :data:`DEPTH` deep, but no optimiser's state.

    Their order is that of preference: what has fewer than half as many tensors as the largest comes last; weights come
    before their averages (see :func:`is_averaged`); those under :data:`USUAL` names before others; then those with more
    tensors; then as they lie in the file.

    >>> state = {"fc.bias": torch.zeros(2)}
    >>> [found.key for found in find_state_dicts({"ema": {"module": state}, "best": state, "model": state})]
    ['model', 'best', 'ema.module']
    """
    states = [_state_dict(keys, mapping) for keys, mapping in _mappings(document, ())]
    states = [state for state in states if state.tensors or state.unusable]
    largest = max((len(state.tensors) for state in states), default=0)
    return tuple(sorted(states, key=lambda state: (2 * len(state.tensors) < largest, *_preference(state))))


def _preference(state: StateDict) -> tuple[bool, bool, tuple[int, ...], int]:
    keys = state.key.split(".")
    usual = all(key in USUAL for key in keys)
    order = tuple(map(USUAL.index, keys)) if usual else ()
    return is_averaged(state.key), not usual, order, 0 if usual else -len(state.tensors)


def is_averaged(path: str) -> bool:
    """Whether a dotted path names weights that are an average of others: EMA, SWA, a teacher, a target network.

    >>> [is_averaged(path) for path in ("state_dict_ema", "modelEMA.module", "schema.email", "teacher.backbone")]
    [True, True, False, True]
    """
    return _AVERAGED.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path).lower().replace("email", "")) is not None


def _mappings(mapping: Mapping[Any, Any], keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    if "param_groups" in mapping:  # an optimiser's, whose tensors have the shapes of the weights
        return
    yield keys, mapping
    if len(keys) < DEPTH:
        for name, value in mapping.items():
            inner = as_mapping(value)
            if isinstance(name, str | int) and inner is not None:
                yield from _mappings(inner, (*keys, str(name)))


def as_mapping(value: Any) -> Mapping[Any, Any] | None:
    """``value`` where it may hold state dicts: a mapping, or a short list of several, by their numbers."""
    if isinstance(value, list | tuple) and len(value) <= LONGEST_LIST:
        return dict(enumerate(value)) if any(isinstance(item, Mapping) for item in value) else None
    return value if isinstance(value, Mapping) else None


def _state_dict(keys: tuple[str, ...], mapping: Mapping[Any, Any]) -> StateDict:
    tensors: dict[str, Tensor] = {}
    unusable: dict[str, str] = {}
    beside: list[str] = []
    for name, value in mapping.items():
        if isinstance(name, str) and name.rpartition(".")[2] == "_packed_params":
            unusable[name] = "is a quantised tensor; give the network before it was quantised."
        elif not isinstance(name, str) or not isinstance(value, Tensor):
            if keys or (isinstance(name, str) and "." in name):  # the file itself holds all that training needs, too
                beside.append(str(name))
        elif reason := _reason(value):
            unusable[name] = reason
        else:
            tensors[name] = value.detach()
    return StateDict(".".join(keys), tensors, tuple(beside), unusable)


def _reason(value: Tensor) -> str:
    """Why that tensor is none of a network's plain weights; empty where it may be one."""
    if value.layout != torch.strided or value.dtype not in DTYPES:
        kind = str(value.layout if value.layout != torch.strided else value.dtype).removeprefix("torch.")
        return f"is a {kind} tensor; give the network before it was quantised or made sparse."
    if value.device.type != "cpu":
        return f"has a shape but no values (device {value.device}); save it with values."
    return ""
