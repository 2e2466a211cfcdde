"""The assignment: the document that tells a child what to do. It starts without torch and without a database."""

from pathlib import Path
from typing import Any, Literal

from calibrate.request import ExportRequest, RunRequest
from calibrate.values import Value

#: What the file of a finished pass is called: its key, and this.
TRIAL = ".trial"


class ModelCheck(Value):
    """A new model to be opened: its checkpoint, and what its owner says of it."""

    checkpoint: Path
    architecture: str | None
    architecture_args: dict[str, Any] | None


class DatasetCheck(Value):
    """New data to be opened."""

    data: str


class Assignment(Value):
    """What one attempt is to do, and within which limits. The files that it names are in the child's folder."""

    request: RunRequest | ExportRequest | ModelCheck | DatasetCheck
    slot: Literal["cpu", "gpu"]
    factories: tuple[str, ...]
    memory_bytes: int
    file_bytes: int

    @property
    def is_check(self) -> bool:
        """Whether a new file is to be opened, for which somebody waits."""
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
