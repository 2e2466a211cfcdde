"""What all steps of a recipe share."""

from typing import Annotated, ClassVar

from pydantic import Field

from calibrate.values import NUMBER, Value

Alpha = Annotated[float, Field(ge=0, le=1, description="weight of an example in its own statistics"), NUMBER]
Sites = Annotated[
    tuple[str, ...],
    Field(min_length=1, description="name patterns of the normalisation layers, as in shell globs"),
]


class StepValue(Value):
    """A closed, frozen value, tagged by ``kind``."""

    #: Whether the step can be carried out on labelled data only.
    needs_labels: ClassVar[bool] = True


class Probe(StepValue):
    """A step that only looks, at the network as it stands where the step stands, on the holdout half."""

    kind: str
