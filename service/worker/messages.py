"""What a child says to its worker: one JSON document a line. The child may be hostile, so all of it is checked."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from calibrate.values import Value
from service.kit.file_source import FileName
from service.kit.problem import Problem

#: Longer lines end the attempt.
LONGEST_LINE = 2**20


class Sandboxed(Value):
    """The child has given up what it could; ``missing`` names the protections that the machine did not grant."""

    type: Literal["sandboxed"] = "sandboxed"
    missing: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=20)]


class ProgressMade(Value):
    """``done`` of ``total`` units of a stage are finished."""

    type: Literal["progress"] = "progress"
    stage: Annotated[str, Field(max_length=200)]
    done: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]


class TrialDone(Value):
    """A pass is finished, and its logits are in ``file``."""

    type: Literal["trial"] = "trial"
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    stage: Annotated[str, Field(max_length=200)]
    examples: Annotated[int, Field(ge=1)]
    file: FileName


class ArtifactWritten(Value):
    """A file that the client gets."""

    type: Literal["artifact"] = "artifact"
    file: FileName
    media_type: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]{1,60}$")]


class Checked(Value):
    """A model or dataset could be opened: what there is to know, and the weights as safetensors."""

    type: Literal["checked"] = "checked"
    facts: dict[str, Any]
    weights: FileName | None = None


class Finished(Value):
    """The work is done."""

    type: Literal["finished"] = "finished"
    verdict: Annotated[str | None, Field(max_length=40)] = None


class Failed(Value):
    """The work cannot be done, and another attempt would not change that."""

    type: Literal["failed"] = "failed"
    problem: Problem


Message = Sandboxed | ProgressMade | TrialDone | ArtifactWritten | Checked | Finished | Failed

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def read_message(line: bytes) -> Message:
    """The message on one line; raises ValueError for anything else."""
    return _ADAPTER.validate_json(line)
