"""Jobs in the REST API: requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from calibrate.recipe import Outputs, Recipe
from calibrate.recipe.manifest import RecipeOrName
from calibrate.values import Autocast, Value
from service.jobs.kinds import AnyKind, Kind
from service.kit.file_source import FileName, Identity
from service.kit.problem import Problem

State = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]

#: The states in which a job has ended: it changes no more.
TERMINAL_STATES: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})


class JobSettings(Value):
    """How a job runs. Equal settings and an equal recipe give equal numbers, to the last bit."""

    batch_size: Annotated[
        Annotated[int, Field(ge=1, le=65536)] | None,
        Field(description="examples per forward pass; else as many as keep its largest tensor small, 64 at most"),
    ] = None
    threads: Annotated[int, Field(ge=1, le=256, description="CPU threads")] = 1
    device: Annotated[Literal["cpu", "cuda"], Field(description="cuda waits for a GPU slot")] = "cpu"
    autocast: Annotated[
        Autocast | None,
        Field(description="precision of torch's autocast in passes that predict; changes more than the last digits"),
    ] = None


class JobRequest(Value):
    """A job to run: what to do, on which model, with which data.

    ``recipe`` is a preset's name or a whole recipe; without one, calibrate jobs run ``quick`` and evaluate jobs
    ``measure``. Export jobs have no recipe. ``outputs`` selects the files to write; it does not change the result.
    """

    kind: Kind
    model: Identity
    dataset: Identity | None = None
    training_dataset: Annotated[
        Identity | None, Field(description="examples that the model was trained on, for the steps that use them")
    ] = None
    recipe: RecipeOrName | None = None
    outputs: Outputs = Outputs()
    settings: JobSettings = JobSettings()
    timeout_seconds: Annotated[float | None, Field(gt=0, le=30 * 86400)] = None


class Job(Value):
    """A job and its current state. ``attempt`` counts how often it was started; ``problem`` says why it failed."""

    id: Identity
    kind: AnyKind
    state: State
    model: Identity | None
    dataset: Identity | None
    training_dataset: Identity | None
    recipe: Recipe | None
    recipe_digest: str | None
    outputs: Outputs
    settings: JobSettings
    timeout_seconds: float
    attempt: int
    verdict: Annotated[
        str | None,
        Field(description="improved, no evidence or worse; of the step field_shift, shifted or no shift; once known"),
    ]
    problem: Problem | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Trial(Value):
    """A finished pass over some of the data, or how passes are made: stored, so that a retry need not repeat it."""

    key: str
    stage: str
    examples: int
    attempt: int
    created_at: datetime


class Artifact(Value):
    """A file that a job wrote."""

    name: FileName
    media_type: str
    size: int
    sha256: str


class Event(Value):
    """An event of a job: a new ``state``, ``progress``, a ``trial`` or an ``artifact``, with its ``data``."""

    id: int
    type: Literal["state", "progress", "trial", "artifact"]
    data: dict[str, Any]
    attempt: int
    created_at: datetime
