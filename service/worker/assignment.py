"""The assignment: the JSON document that a child process reads its task from. Needs neither torch nor the database."""

from pathlib import Path
from typing import Any, Literal

from calibrate.request import ExportRequest, RunRequest
from calibrate.values import Value

#: The suffix of the file of a finished pass; the key comes before it.
TRIAL = ".trial"


class ModelCheck(Value):
    """The check of a new model: its checkpoint, which of the weights in it, and its architecture."""

    checkpoint: Path
    architecture: str | None
    architecture_args: dict[str, Any] | None
    weights: str | None = None


class DatasetCheck(Value):
    """The check of a new dataset."""

    data: str
    split: str | None = None
    skip_broken: int = 0


class Assignment(Value):
    """The task and the limits of one attempt. The files that it names are in the child's working directory."""

    request: RunRequest | ExportRequest | ModelCheck | DatasetCheck
    slot: Literal["cpu", "gpu"]
    factories: tuple[str, ...]
    memory_bytes: int
    file_bytes: int

    @property
    def is_check(self) -> bool:
        """Whether this is the check of a new file, which a client may be waiting for."""
        return isinstance(self.request, ModelCheck | DatasetCheck)

    @property
    def threads(self) -> int:
        """The CPU threads of the child."""
        match self.request:
            case RunRequest(settings=settings):
                return settings.threads or 1
            case ExportRequest(threads=threads):
                return threads or 1
        return 1
