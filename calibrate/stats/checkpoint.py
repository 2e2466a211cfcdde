"""The checkpoint: a file from which an interrupted re-estimation goes on."""

import os
import time
from pathlib import Path

import torch

from calibrate.errors import UsageError
from calibrate.stats.gathered import Gathered


class Checkpoint:
    """``path`` holds what was gathered for ``request``, written whole and at most every ``seconds``."""

    def __init__(self, path: Path, request: str, seconds: float = 10.0) -> None:
        self._path, self._request, self._seconds = path, request, seconds
        self._written = time.monotonic()

    def gathered(self, device: torch.device) -> Gathered:
        """What there is to go on from; nothing where there is no file.

        Raises UsageError where the file is of another re-estimation.
        """
        if not self._path.exists():
            return Gathered()
        found = Gathered.read(str(self._path), self._request, device)
        if found is None:
            raise UsageError(
                f"the checkpoint {self._path} is of another network, order, prior or choice of sites or samples; give "
                "another path, or delete the file to begin anew."
            )
        return found

    def keep_(self, gathered: Gathered) -> None:
        """Write the file, if the last time is ``seconds`` ago."""
        if time.monotonic() - self._written < self._seconds:
            return
        staging = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with staging.open("wb") as file:
            file.write(gathered.to_bytes(self._request))
            file.flush()
            os.fsync(file.fileno())
        staging.replace(self._path)
        self._written = time.monotonic()

    def remove_(self) -> None:
        """Delete the file, which is of no more use."""
        self._path.unlink(missing_ok=True)
