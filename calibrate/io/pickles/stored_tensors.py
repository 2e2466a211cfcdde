"""Tensors as a pickle describes them: views of storages in the file, which every number is checked against."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from calibrate.io.pickles.pickled_names import Global

_DTYPES: dict[str, torch.dtype] = {
    str(dtype): dtype
    for name in dir(torch)
    if isinstance(dtype := getattr(torch, name), torch.dtype) and str(dtype) == f"torch.{name}"
}
#: Storage classes by name, of whichever device; what is in them is bytes of this dtype.
_STORAGES: dict[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "QUInt8Storage": torch.quint8,
    "QInt8Storage": torch.qint8,
    "QInt32Storage": torch.qint32,
    "QUInt4x2Storage": torch.quint4x2,
    "QUInt2x4Storage": torch.quint2x4,
    "UntypedStorage": torch.uint8,
    "_UntypedStorage": torch.uint8,
}
_LAYOUTS = {f"torch.{name}": getattr(torch, name) for name in ("sparse_coo", "sparse_csr", "sparse_csc")}
_MOST_DIMENSIONS = 64
#: Up to how many bytes a tensor may repeat what its storage has, as an expanded buffer does.
_MOST_EXPANDED = 2**26


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """``numel`` values of a dtype; ``bytes`` is None while it is not yet known where in the file they are."""

    bytes: torch.UntypedStorage | None
    dtype: torch.dtype
    numel: int

    def __repr__(self) -> str:
        return f"<storage of {self.numel} {self.dtype}>"


def storage_dtype(kind: Any) -> torch.dtype | None:
    """The dtype that a storage of the class ``kind`` has, where it is one of torch's."""
    is_torchs = isinstance(kind, Global) and kind.module.partition(".")[0] == "torch"
    return _STORAGES.get(kind.name) if is_torchs else None


def is_count(value: Any) -> bool:
    """Whether ``value`` is a whole number from 0 on that fits into 62 bits."""
    return type(value) is int and 0 <= value < 2**62


def rebuilt(target: Global, args: tuple[Any, ...]) -> Tensor | None:
    """The tensor, where ``target`` is one of torch's functions that rebuild one; raises ValueError where it cannot be.

    What is no dense tensor with values (sparse, quantised, meta) is a tensor of that kind without values.
    """
    if target.dotted == "torch._tensor._rebuild_from_type_v2" and len(args) == 4:
        within, _, args, _ = args
        if not isinstance(within, Global) or not isinstance(args, tuple):
            return None
        target = within
    rebuild = _REBUILDERS.get(target.name) if target.module == "torch._utils" else None
    return None if rebuild is None else rebuild(*args)


def empty_tensor(target: Global, args: Sequence[Any]) -> Tensor | None:
    """What files of early versions of torch begin a tensor or parameter with, and :func:`fill_` ends."""
    if not (target.dotted == "torch.nn.parameter.Parameter" or _is_tensor_class(target)):
        return None
    return args[0] if args and isinstance(args[0], Tensor) else torch.empty(0)


def fill_(tensor: Tensor, state: Any) -> None:
    """Give ``tensor`` what its state says: storage and shape, or another tensor; what else there may be is no data."""
    match state:
        case (Storage(), _, _, _):
            tensor.data = _strided(*state)
        case (Tensor() as data, _, _, _, _):
            tensor.data = data


def _is_tensor_class(target: Global) -> bool:
    return target.module in ("torch", "torch.cuda") and target.name.endswith("Tensor")


def _strided(storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A view of ``storage``, within its bounds."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor of no storage")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise ValueError("a tensor whose shape and strides do not belong together")
    if len(size) > _MOST_DIMENSIONS or not is_count(offset) or not all(map(is_count, (*size, *stride))):
        raise ValueError(f"a tensor of {len(size)} dimensions with an impossible offset, size or stride")
    dtype = dtype or storage.dtype
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    held = storage.numel * storage.dtype.itemsize
    numel = math.prod(size)
    if (numel and (last + 1) * dtype.itemsize > held) or offset * dtype.itemsize > held:
        raise ValueError("a tensor that is larger than its storage")
    if numel * dtype.itemsize > max(held, _MOST_EXPANDED):
        raise ValueError("a tensor that repeats its storage many times over")
    if storage.bytes is None or not numel:
        return torch.empty(size if not numel else 0, dtype=dtype)
    return torch.empty(0, dtype=dtype).set_(storage.bytes, offset, size, stride)


def _version_2(storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, metadata: Any = None) -> Any:
    return _signed(_strided(storage, offset, size, stride), metadata)


def _version_3(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, metadata: Any = None
) -> Any:
    return _signed(_strided(storage, offset, size, stride, _dtype(dtype)), metadata)


def _signed(tensor: Tensor, metadata: Any) -> Tensor:
    negated = isinstance(metadata, dict) and metadata.get("neg") is True
    return torch._neg_view(tensor) if negated else tensor


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter of no tensor")
    return data


def _sparse(layout: Any, *_: Any) -> Tensor:
    return torch.empty((1, 1), layout=_LAYOUTS.get(layout, torch.sparse_coo), device="meta")


def _quantised(storage: Any, *_: Any) -> Tensor:
    return torch.empty(1, dtype=storage.dtype if isinstance(storage, Storage) else torch.qint8, device="meta")


def _meta(dtype: Any, *_: Any) -> Tensor:
    return torch.empty(0, dtype=_dtype(dtype), device="meta")


def _dtype(named: Any) -> torch.dtype:
    if not isinstance(named, Global) or named.dotted not in _DTYPES:
        raise ValueError("a tensor of an unknown dtype")
    return _DTYPES[named.dotted]


_REBUILDERS: dict[str, Callable[..., Tensor]] = {
    "_rebuild_tensor": _strided,
    "_rebuild_tensor_v2": _version_2,
    "_rebuild_tensor_v3": _version_3,
    "_rebuild_parameter": _parameter,
    "_rebuild_parameter_with_state": _parameter,
    "_rebuild_sparse_tensor": _sparse,
    "_rebuild_qtensor": _quantised,
    "_rebuild_meta_tensor_no_storage": _meta,
}
