"""What is asked for, as frozen values that commands, batches and jobs have in common."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from calibrate.recipe import GraphOptions, Outputs, Preprocessing, Recipe, RunSettings
from calibrate.result import reference_path
from calibrate.values import NUMBER, SkipBroken, SplitName, Value, WeightsPath


class _ModelOnData(Value):
    """A checkpoint, how it is opened, and how data become its inputs and labels.

    ``classes`` are the names of the model's classes in the order of its outputs, ``class_map`` says which of them each
    class of the data is; each is a file or stands in the request itself.
    """

    model: Annotated[Path, Field(description="checkpoint")]
    architecture: Annotated[str | None, Field(description="None for a tuned file, which names its own")] = None
    architecture_args: dict[str, Any] | None = None
    weights: WeightsPath = None
    classes: Path | tuple[str, ...] | None = None
    class_map: Path | dict[str, str | int] | None = None
    split: SplitName = None
    skip_broken: SkipBroken = 0
    preprocessing: Annotated[Preprocessing | None, Field(description="else the architecture's own")] = None


class RunRequest(_ModelOnData):
    """One run: everything that its numbers depend on, and which files of the tuned model it writes.

    Where the files go, where finished passes are kept and which verdict is required is not part of it: whoever carries
    the request out says so. It survives JSON:

    >>> request = RunRequest(model="r8.pth", data="digits.npz", recipe={"steps": [{"kind": "measure"}]})
    >>> RunRequest.model_validate_json(request.model_dump_json()) == request
    True
    """

    version: Annotated[Literal[1], NUMBER] = 1
    data: Annotated[str, Field(description="what --data takes")]
    training_data: Annotated[
        str | None, Field(description="examples that the model was trained on, named as data are; no labels needed")
    ] = None
    training_split: Annotated[str | None, Field(min_length=1, description="their part; else train, if any")] = None
    training_skip_broken: Annotated[
        int | None, Field(ge=0, description="so many of their images may be left out; else as many as of the data")
    ] = None
    recipe: Recipe
    reference: Annotated[
        Path | None,
        Field(
            description="what data may have shifted from; else the file that belongs to the model, where there is one"
        ),
    ] = None
    outputs: Outputs = Outputs()
    settings: RunSettings = RunSettings()

    @property
    def reference_file(self) -> Path | None:
        """The reference that a step compares the data with; None where no step does, or training data are it.

        The one that is named, else the one that belongs to the model, where there is one.
        """
        if not any(step.needs_reference for step in self.recipe.steps):
            return None
        if self.reference is not None:
            return self.reference
        own = reference_path(self.model)
        return own if self.training_data is None and own.exists() else None


class ExportRequest(_ModelOnData, GraphOptions):
    """A model to be written as ONNX; the file is proved on ``data`` where they are given, else on noise."""

    version: Annotated[Literal[1], NUMBER] = 1
    data: Annotated[str | None, Field(description="what --data takes")] = None
    threads: Annotated[int | None, Field(ge=1, description="CPU threads; else torch's own choice")] = None


class Requirement(StrEnum):
    """What must hold: a verdict; that inputs and statistics are sound; that the data have not shifted.

    Else no tuned network is written, and the command ends with the exit code 6.
    """

    IMPROVED = "improved"
    NOT_WORSE = "not-worse"
    SOUND = "sound"
    NO_SHIFT = "no-shift"

    def is_met_by(self, verdict: str | None, unsound: Sequence[str] = (), *, shifted: bool | None = None) -> bool:
        """Whether it holds for that verdict, where ``unsound`` says what is not sound, and ``shifted`` if data are."""
        if self == Requirement.NO_SHIFT:
            return shifted is False
        if self == Requirement.SOUND:
            return not unsound
        return verdict == "improved" or (self == Requirement.NOT_WORSE and verdict == "no evidence")
