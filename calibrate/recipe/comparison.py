"""The comparison: several ways of fine-tuning, each from the same seeds, against one of them."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from calibrate.recipe.finetuning import FineTuning
from calibrate.recipe.manifest import NAME
from calibrate.values import NUMBER, Value


class Comparison(Value):
    """Arms by name, each of which says only what differs from ``base``; a field that it gives replaces base's whole.

    Every arm is fine-tuned from the seeds that MD5 makes of 1, 2, …, ``seeds``.

    >>> Comparison(arms={"vanilla": {}, "adam": {"optimizer": {"kind": "adam"}}}, baseline="vanilla").seeds
    5
    """

    version: Annotated[Literal[1], NUMBER] = 1
    base: FineTuning = FineTuning()
    arms: Annotated[
        dict[str, FineTuning],
        Field(min_length=2, json_schema_extra={"propertyNames": {"pattern": f"^{NAME.pattern}$"}}),
    ]
    baseline: Annotated[str, Field(description="the arm that the others are tested against")]
    seeds: Annotated[int, Field(ge=2, le=1000, description="how many"), NUMBER] = 5

    @field_validator("arms")
    @classmethod
    def _folder_names(cls, arms: dict[str, FineTuning]) -> dict[str, FineTuning]:
        lower = [name.lower() for name in arms]
        for name in arms:
            if not NAME.fullmatch(name) or lower.count(name.lower()) > 1:
                raise ValueError(
                    f"the name {name!r} cannot name a folder of its own; use up to 100 letters, digits and . _ + = -, "
                    "with a letter or digit first and no . last, and names that differ in more than case"
                )
        return arms

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, document: Any) -> Any:
        """Give each arm what only base says; not where base is broken, which would be told once for each arm."""
        if not isinstance(document, dict) or not isinstance(document.get("arms"), dict):
            return document
        base = document.get("base", {})
        try:
            FineTuning.model_validate(base)
        except ValidationError:
            return document
        arms = {
            name: {**_given(base), **_given(arm)} if isinstance(arm, dict | FineTuning) else arm
            for name, arm in document["arms"].items()
        }
        return {**document, "arms": arms}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.baseline not in self.arms:
            raise ValueError(f"baseline is {self.baseline!r}, which is no arm; name one of {', '.join(self.arms)}")
        for name, arm in self.arms.items():
            if arm.seed:
                raise ValueError(
                    f"the arm {name} has the seed {arm.seed}, and the comparison makes its own; leave it out, and say "
                    "how many with seeds"
                )
        return self


def _given(value: dict[str, Any] | FineTuning) -> dict[str, Any]:
    """The fields that a document, or whoever made the value, said."""
    if isinstance(value, dict):
        return value
    return {name: getattr(value, name) for name in value.model_fields_set}
