"""What all steps of a recipe share."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from calibrate.recipe.numbers import NUMBER

Alpha = Annotated[float, Field(ge=0, le=1, description="weight of an example in its own statistics"), NUMBER]
Sites = Annotated[
    tuple[str, ...],
    Field(min_length=1, description="name patterns of the normalisation layers, as in shell globs"),
]


class StepValue(BaseModel):
    """A closed, frozen value, tagged by ``kind``."""

    #: Whether the step can be carried out on labelled data only.
    needs_labels: ClassVar[bool] = True

    model_config = ConfigDict(frozen=True, extra="forbid")


class Probe(StepValue):
    """A step that only looks, at the network as it stands where the step stands, on the holdout half."""

    kind: str
