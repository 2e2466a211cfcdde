"""Decoded examples that are kept: in memory, then in a file of the temporary folder, as far as a budget allows."""

import os
import tempfile
import weakref
from dataclasses import dataclass
from threading import Lock, RLock
from typing import IO

import torch
from torch import Tensor

from calibrate.memory_limits import is_in_memory, memory_budget

#: Caches hold at most so many bytes in memory, and so many in files, where the caller names no number.
MEMORY, FILES = 1 << 30, 16 << 30
#: Of the quarter of the memory that is at hand for what is held, the share of the caches.
SHARE = 4


@dataclass(slots=True)
class Holding:
    """What one of the caches of a budget holds of it."""

    memory: int = 0
    file_bytes: int = 0
    file: IO[bytes] | None = None
    in_memory: bool = False


class CacheBudget:
    """The bytes that caches may hold together: ``memory``, and ``files`` in the temporary folder.

    By default 1 GiB of memory, or a sixteenth of what the process may use where that is less, and 16 GiB of files.
    Files never take more of the disk than they leave free, nor more than ``memory`` where the temporary folder is
    itself in memory.
    """

    def __init__(self, memory: int | None = None, files: int = FILES) -> None:
        self.memory = min(MEMORY, memory_budget(torch.device("cpu")) // SHARE) if memory is None else memory
        self.files = files
        self._memory_used = self._files_used = 0
        self._lock = RLock()  # the collector may give something back while the same thread takes

    def take_memory_(self, share: Holding, size: int) -> bool:
        """Count ``size`` bytes more to ``share``; False where so much is not left."""
        with self._lock:
            if self._memory_used + size > self.memory:
                return False
            self._memory_used += size
            share.memory += size
            return True

    def take_file_(self, share: Holding, size: int) -> bool:
        """Count ``size`` bytes more to the file of ``share``; False where there is no room for them."""
        assert share.file is not None
        disk = os.statvfs(share.file.fileno())
        room = min(self.files, disk.f_bavail * disk.f_frsize - size, self.memory if share.in_memory else self.files)
        with self._lock:
            if self._files_used + size > room:
                return False
            self._files_used += size
            share.file_bytes += size
            return True

    def give_back_(self, share: Holding) -> None:
        """Take what ``share`` holds as free, and close its file, which is then gone."""
        with self._lock:
            self._memory_used -= share.memory
            self._files_used -= share.file_bytes
        if share.file is not None:
            share.file.close()


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Where in the file an example lies, and what it is."""

    offset: int
    size: int
    shape: torch.Size
    dtype: torch.dtype


class KeptExamples:
    """Examples by their index, each kept once; what is read of them is the reader's own.

    The file has no name, so that nothing is left of it whatever becomes of the process. Where it cannot be made or
    written (no temporary folder, a full disk, a limit on files), no more is kept in it. Threads may keep and read; a
    forked process reads what was kept before, and keeps nothing more in the file that it shares with its parent.
    """

    def __init__(self, budget: CacheBudget) -> None:
        self.budget = budget
        self._memory: dict[int, Tensor] = {}
        self._places: dict[int, FileSlice] = {}
        self._share = Holding()
        self._can_write = hasattr(os, "pwrite")
        self._owner = os.getpid()
        self._lock = Lock()
        weakref.finalize(self, budget.give_back_, self._share)

    def __contains__(self, index: int) -> bool:
        return index in self._memory or index in self._places

    def read(self, index: int) -> Tensor:
        """The example at ``index``, which is kept."""
        if (kept := self._memory.get(index)) is not None:
            return kept.clone()
        place = self._places[index]
        assert self._share.file is not None
        content = bytearray(place.size)
        seen, read = memoryview(content), 0
        while read < place.size:
            part = os.pread(self._share.file.fileno(), place.size - read, place.offset + read)
            if not part:
                raise OSError(f"a temporary file of {self._share.file_bytes} bytes has lost its end")
            seen[read : read + len(part)] = part
            read += len(part)
        return torch.frombuffer(content, dtype=place.dtype).view(place.shape)

    def keep_(self, index: int, example: Tensor) -> bool:
        """Keep ``example``; False where there is no room for it."""
        with self._lock:
            if index in self:
                return True
            if self.budget.take_memory_(self._share, example.nbytes):
                self._memory[index] = example.clone(memory_format=torch.contiguous_format)
                return True
            return self._write_(index, example)

    def _write_(self, index: int, example: Tensor) -> bool:
        if not self._can_write or os.getpid() != self._owner:
            return False
        try:
            if self._share.file is None:
                self._share.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (open as long as this)
                self._share.in_memory = is_in_memory(self._share.file.fileno())
            number, start, size = self._share.file.fileno(), self._share.file_bytes, example.nbytes
            if not self.budget.take_file_(self._share, size):
                return False
            left = memoryview(example.numpy().tobytes())
            while left:
                left = left[os.pwrite(number, left, start + size - len(left)) :]
        except OSError:
            self._can_write = False
            return False
        self._places[index] = FileSlice(start, size, example.shape, example.dtype)
        return True
