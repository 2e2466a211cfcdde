"""The checkpoint: a file from which an interrupted re-estimation goes on."""

import time
import warnings
from pathlib import Path

import torch

from calibrate.atomic import replace_files
from calibrate.errors import UsageError
from calibrate.stats.gathered import Gathered


class ReestimationState:
    """A file at ``path``, written whole where a call is settled, and every ``seconds`` in between."""

    def __init__(self, path: str | Path, seconds: float = 10.0) -> None:
        self._path, self._seconds = Path(path), seconds
        self._request, self._settled, self._written = "", (0, 0), 0.0

    def begin_(self, request: str, device: torch.device) -> Gathered:
        """What there is to go on from; nothing where there is no file.

        Raises UsageError where the file is of another request, or damaged.
        """
        self._request, self._written = request, time.monotonic()
        if not self._path.exists():
            return Gathered()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = Gathered.read(str(self._path), request, device)
        except Exception as error:  # a damaged file can break its reader in any way
            raise UsageError(
                f"the checkpoint {self._path} is no unfinished re-estimation, or is damaged ({type(error).__name__}); "
                "give another path, or delete the file to begin anew."
            ) from None
        if found is None:
            raise UsageError(
                f"the checkpoint {self._path} is of another network, order, prior or choice of sites or samples; give "
                "another path, or delete the file to begin anew."
            )
        return found

    def keep_(self, gathered: Gathered) -> None:
        """Write the file, if it is time to."""
        settled = len(gathered.over), gathered.settled
        if settled == self._settled and time.monotonic() - self._written < self._seconds:
            return
        replace_files(self._path.parent, {self._path.name: gathered.to_bytes(self._request)}, durable=True)
        self._written, self._settled = time.monotonic(), settled

    def end_(self) -> None:
        """Delete the file, which is of no more use."""
        self._path.unlink(missing_ok=True)
