"""What torch.save writes, read as data: a zip archive of a pickle and storages, or, before torch 1.6, pickles in a row.

Storages are mapped from the file, and nothing is made larger than the file says it holds and holds.
"""

import mmap
import os
import pickletools
import struct
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from calibrate.io.pickles.pickle_data import PickleReader
from calibrate.io.pickles.pickled_names import Global
from calibrate.io.pickles.stand_ins import DamagedPickleError
from calibrate.io.pickles.stored_tensors import Storage, is_count, storage_dtype

#: What the row of pickles begins with, and the version of the row.
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_ENCRYPTED = 1
#: Where a number of any dtype may begin.
_ALIGNED = 16
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class _MappedFile:
    """The bytes of a file, mapped; a storage may lie anywhere in it, and its copies are together no longer than it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.length = path.stat().st_size
        self._whole: torch.UntypedStorage | None = None
        self._copied = 0

    def storage(self, start: int, length: int, dtype: torch.dtype, *, swapped: bool = False) -> torch.UntypedStorage:
        """``length`` bytes from ``start`` on: a view, or a copy where they are not aligned, or in the other order."""
        if not (0 <= start <= start + length <= self.length):
            raise DamagedPickleError("a storage lies outside the file")
        if not length:
            return torch.UntypedStorage(0)
        if self._whole is None:
            self._whole = cast("Any", torch.UntypedStorage.from_file(os.fspath(self._path), False, self.length))
        part: torch.UntypedStorage = cast("Any", self._whole)[start : start + length]
        if dtype.itemsize == 1 or not (swapped or start % _ALIGNED):
            return part
        self._copied += length
        if self._copied > self.length:
            raise DamagedPickleError("its storages overlap")
        copied: torch.UntypedStorage = part.clone()
        if swapped:
            copied.byteswap(dtype)
        return copied


def read_archive(path: Path, archive: zipfile.ZipFile, pickled: zipfile.ZipInfo) -> Any:
    """The document in ``pickled``, a member of the ``archive`` at ``path``; its storages lie beside it.

    Raises UnsafePickleError and DamagedPickleError.
    """
    folder = pickled.filename.removesuffix("data.pkl")
    members = {member.filename: member for member in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise DamagedPickleError("it holds several members of the same name")
    order = members.get(f"{folder}byteorder")
    swapped = order is not None and order.file_size < 8 and archive.read(order) != sys.byteorder.encode()
    mapped = _MappedFile(path)
    seen: dict[str, torch.UntypedStorage] = {}

    def storage(identity: Any) -> Storage | None:
        match identity:
            case ("storage", kind, str() as key, _, numel, *_) if (dtype := storage_dtype(kind)) and is_count(numel):
                if key not in seen:
                    member = members.get(f"{folder}data/{key}")
                    if member is None or member.file_size != member.compress_size or member.flag_bits & _ENCRYPTED:
                        raise DamagedPickleError("a storage is missing")
                    start = _start(path, member)
                    seen[key] = mapped.storage(start, member.file_size, dtype, swapped=swapped)
                if numel * dtype.itemsize > seen[key].nbytes():
                    raise DamagedPickleError("a storage is shorter than the pickle says")
                return Storage(seen[key], dtype, numel)
        return None

    content = archive.read(pickled)
    return PickleReader(BytesIO(content), len(content), storage).read()


def _start(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the content of a stored member begins: after its own header, whose length only that header says."""
    with path.open("rb") as stream:
        stream.seek(member.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        there = stream.read(name)
    if signature != b"PK\x03\x04" or there not in (member.orig_filename.encode(code) for code in ("utf-8", "cp437")):
        raise DamagedPickleError("a member of the archive is not where it should be")
    return int(member.header_offset + _LOCAL_HEADER.size + name + extra)


def read_row(path: Path) -> Any:
    """The document in a file of pickles in a row; a file of one pickle, as pickle.dump writes it, is that document.

    The storages come last, so the pickle is read twice: once to learn how long they are, once with them at hand.
    Raises UnsafePickleError and DamagedPickleError.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        mapped = _MappedFile(path)

        def nested(within: bytes) -> Any:
            return _row(BytesIO(within), _Bytes(within))

        return _row(cast("BinaryIO", content), mapped, nested)


def _row(
    stream: BinaryIO,
    content: "_MappedFile | _Bytes",
    nested: Callable[[bytes], Any] | None = None,
) -> Any:
    row = _Row(content)

    def value() -> Any:
        return PickleReader(stream, content.length, row.storage, nested).read()

    document = value()
    if row.lengths:
        raise DamagedPickleError("its storages are missing")
    if document != _MAGIC:
        return document
    if value() != _VERSION:
        raise DamagedPickleError("it is of an unknown version of torch's format")
    value()  # byte order and sizes of the machine that wrote it; what it wrote is little-endian all the same
    begin = stream.tell()
    document = value()
    if not row.lengths:
        return document
    row.find(value(), stream)
    stream.seek(begin)
    return value()


class _Bytes:
    """The bytes of a file inside a pickle."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def storage(self, start: int, length: int, _dtype: torch.dtype) -> torch.UntypedStorage:
        """A copy of ``length`` bytes from ``start`` on."""
        part = bytearray(self._content[start : start + length])
        if len(part) < length:
            raise DamagedPickleError("a storage lies outside the file")
        return torch.frombuffer(part, dtype=torch.uint8).untyped_storage() if part else torch.UntypedStorage(0)


class _Row:
    """The storages of a row of pickles: what the pickle says of them, and then where they lie."""

    def __init__(self, content: "_MappedFile | _Bytes") -> None:
        self._content = content
        self.lengths: dict[str, tuple[int, torch.dtype]] = {}
        self._found: dict[str, torch.UntypedStorage] = {}

    def storage(self, identity: Any) -> Storage | Global | None:
        """What a persistent id stands for; a module's class, whose source code is beside it, is a name as any other."""
        match identity:
            case ("module", Global() as kind, *_):
                return kind
            case ("storage", kind, str() as key, _, numel, *view) if (dtype := storage_dtype(kind)) and is_count(numel):
                self.lengths.setdefault(key, (numel, dtype))
                held = self._found.get(key)
                offset = 0
                if view and view[0] is not None:
                    offset, numel = _part(view[0], numel)
                first, last = offset * dtype.itemsize, (offset + numel) * dtype.itemsize
                if last > self.lengths[key][0] * self.lengths[key][1].itemsize:
                    raise DamagedPickleError("a storage is shorter than the pickle says")
                return Storage(None if held is None else cast("Any", held[first:last]), dtype, numel)
        return None

    def find(self, keys: Any, stream: BinaryIO) -> None:
        """Find the storages of ``keys``, which follow the pickles in this order, each after its length."""
        if not isinstance(keys, list) or not all(isinstance(key, str) and key in self.lengths for key in keys):
            raise DamagedPickleError("its list of storages is none")
        if missing := self.lengths.keys() - set(keys):
            raise DamagedPickleError(f"{len(missing)} of its storages are missing")
        start = stream.tell()
        for key in keys:
            numel, dtype = self.lengths[key]
            stream.seek(start)
            if key in self._found or stream.read(8) != struct.pack("<q", numel):
                raise DamagedPickleError("a storage is not of the length that the pickle says")
            self._found[key] = self._content.storage(start + 8, numel * dtype.itemsize, dtype)
            start += 8 + numel * dtype.itemsize


def _part(view: Any, numel: int) -> tuple[int, int]:
    match view:
        case (_, offset, length) if is_count(offset) and is_count(length) and offset + length <= numel:
            return offset, length
    raise DamagedPickleError("a part of a storage lies outside it")


def is_whole(path: Path) -> bool:
    """Whether a whole pickle is at the start of the file, which the beginning of a text can look like by accident."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(cast("BinaryIO", content)))
        except Exception:  # whatever breaks the disassembler is no pickle
            return False
