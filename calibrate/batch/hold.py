"""Holding a batch's directory, so that no second batch writes into it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from calibrate.errors import UsageError

LOCK = ".batch.lock"


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold ``out``, made where it is not there, for this process; the hold ends with it, however that ends."""
    path = out / LOCK
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written to: {error.strerror}; pass another --out.") from None
    with file:
        if not _locked(file, path):
            raise UsageError(f"another batch is running in --out {out}; wait until it ends, or pass another --out.")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(file: IO[bytes], path: Path) -> bool:
    """Lock ``file``, unless it is locked, or was taken from ``path`` by a batch that ended meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
