"""Messages from a child process to its worker: JSON Lines. The child may be hostile, so every message is validated."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from calibrate.values import Value
from service.kit.file_source import FileName
from service.kit.problem import Problem

#: A longer line ends the attempt.
MAX_LINE_BYTES = 2**20


class Sandboxed(Value):
    """The sandbox is set up; ``missing`` names the protections that this machine does not support."""

    type: Literal["sandboxed"] = "sandboxed"
    missing: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=20)]


class ProgressMade(Value):
    """``done`` of ``total`` units of a stage are finished."""

    type: Literal["progress"] = "progress"
    stage: Annotated[str, Field(max_length=200)]
    done: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]


class TrialDone(Value):
    """A pass is finished; its logits are in ``file``."""

    type: Literal["trial"] = "trial"
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    stage: Annotated[str, Field(max_length=200)]
    examples: Annotated[int, Field(ge=1)]
    file: FileName


class ArtifactWritten(Value):
    """A file for the client was written."""

    type: Literal["artifact"] = "artifact"
    file: FileName
    media_type: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]{1,60}$")]


class Checked(Value):
    """The check succeeded: the facts of the model or dataset, and a model's weights as safetensors."""

    type: Literal["checked"] = "checked"
    facts: dict[str, Any]
    weights: FileName | None = None


class Finished(Value):
    """The job succeeded."""

    type: Literal["finished"] = "finished"
    verdict: Annotated[str | None, Field(max_length=40)] = None


class Failed(Value):
    """The job failed, and a retry would fail too."""

    type: Literal["failed"] = "failed"
    problem: Problem


Message = Sandboxed | ProgressMade | TrialDone | ArtifactWritten | Checked | Finished | Failed

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def read_message(line: bytes) -> Message:
    """The message on one line; raises ValueError for anything else."""
    return _ADAPTER.validate_json(line)
