"""Temporary files: a folder for each worker, locked while the worker runs, with a folder for each attempt."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

LOCK = "lock"

#: How often, and how many seconds apart, to try to delete a folder in which a process that is ending still writes.
MAX_TRIES, PAUSE_SECONDS = 40, 0.05


class Scratch:
    """The folder ``root/worker``. The kernel frees its lock when the worker ends: a free lock means a lost worker."""

    def __init__(self, root: Path, worker: str) -> None:
        self._root = root
        self.folder = root / worker
        self.folder.mkdir(parents=True, exist_ok=False, mode=0o700)
        self._lock = (self.folder / f"{LOCK}.part").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.folder / f"{LOCK}.part").rename(self.folder / LOCK)  # it appears locked

    def remove_lost_workers(self) -> Iterator[str]:
        """Delete the folders of lost workers; yields the names of these workers."""
        for folder in sorted(self._root.iterdir()):
            if folder != self.folder and (lock := _lock_of_lost_worker(folder)):
                with lock:
                    _remove(folder)
                    yield folder.name

    def close(self) -> None:
        """Delete the folder."""
        _remove(self.folder)
        self._lock.close()


def _remove(folder: Path) -> None:
    """Delete a worker's folder, its lock last; what cannot be deleted yet is left to the next worker that starts."""
    for _ in range(MAX_TRIES):
        with suppress(OSError):
            for entry in [entry for entry in folder.iterdir() if entry.name != LOCK]:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()
        if not folder.exists():
            return
        time.sleep(PAUSE_SECONDS)


def _lock_of_lost_worker(folder: Path) -> IO[str] | None:
    """The lock of a lost worker, now held by this process; None where the worker runs or is starting."""
    try:
        lock = open(os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "w")  # noqa: PTH123, SIM115
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
