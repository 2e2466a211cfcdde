"""The assignment: the document that tells a child what to do. It starts without torch and without a database."""

from typing import Any, Literal

from calibrate.recipe import Outputs, Preprocessing, Recipe
from calibrate.values import Value
from service.jobs.kinds import AnyKind
from service.jobs.resources import JobSettings

#: What the file of a finished pass is called: its key, and this.
TRIAL = ".trial"


class AssignedModel(Value):
    """A checkpoint's file, and what its owner says of it."""

    file: str
    architecture: str | None
    architecture_args: dict[str, Any] | None
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None


class AssignedDataset(Value):
    """A data file, and which class of the model each of its classes is."""

    file: str
    class_map: dict[str, str | int] | None


class Assignment(Value):
    """What one attempt is to do, and within which limits."""

    kind: AnyKind
    model: AssignedModel | None
    dataset: AssignedDataset | None
    recipe: Recipe | None
    outputs: Outputs
    settings: JobSettings
    slot: Literal["cpu", "gpu"]
    factories: tuple[str, ...]
    memory_bytes: int
    file_bytes: int
