"""The recipe: what to do to a trained network, as one closed value with a digest."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Field, field_validator

from calibrate.recipe.canonical_json import canonical, digest
from calibrate.steps import (
    QUICK,
    Auto,
    Measure,
    ProbeAdaptation,
    ProbeChannelHealth,
    ProbeEstimationShift,
    ProbeFieldShift,
    ProbeOutputBound,
    ProbeStatisticNoise,
    Reestimate,
    SearchAlpha,
    SearchStatistics,
    StepValue,
    Temperature,
    kind_of,
)
from calibrate.steps.table import STEPS
from calibrate.values import NUMBER, Value

#: The class of each kind of step.
ALL_STEPS: tuple[type[StepValue], ...] = (*STEPS, Auto)
STEP_KINDS: Mapping[str, type[StepValue]] = {kind_of(step): step for step in ALL_STEPS}

if TYPE_CHECKING:
    Step = StepValue
else:
    #: Any step, told apart by its ``kind``.
    Step = Annotated[Union[tuple(STEP_KINDS.values())], Field(discriminator="kind")]  # noqa: UP007


class Recipe(Value):
    """An ordered list of steps, and the seed from which every random choice derives.

    >>> Recipe(steps=[{"kind": "set_alpha", "alpha": 0.05}, {"kind": "measure"}]).digest[:12]
    '59dea311dad4'
    """

    version: Annotated[Literal[1], NUMBER] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32), NUMBER] = 0
    steps: Annotated[tuple[Step, ...], Field(json_schema_extra={"minItems": 1})]

    @field_validator("steps")
    @classmethod
    def _steps_in_order(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """A measurement describes the current network, so only probes, which change nothing, may come after it."""
        if not steps:
            raise ValueError("steps is empty; name at least one step")
        kinds = [step.kind for step in steps if not step.is_probe]
        for kind in ("measure", "temperature"):
            if kinds.count(kind) > 1:
                raise ValueError(f"the step {kind} stands {kinds.count(kind)} times; keep one")
        if "measure" in kinds and kinds[-1] != "measure":
            raise ValueError(f"the step measure stands before {kinds[-1]}; make it the last step")
        if "auto" in kinds and kinds[1:]:
            other = next(kind for kind in kinds if kind != "auto") if len(set(kinds)) > 1 else "auto"
            raise ValueError(
                f"the step auto stands beside {other}; leave {other} out, or put it into a candidate: auto sets out "
                "from the original network, and fits a temperature and measures itself"
            )
        changes = [kind for kind in kinds if kind != "measure"]
        if "temperature" in changes and changes[-1] != "temperature":
            raise ValueError(f"the step temperature stands before {changes[-1]}; fit it after what changes the logits")
        return steps

    @property
    def without_labels(self) -> "Recipe":
        """Itself; of ``quick``, within a budget or not, which needs labels, what it does without them.

        That is λ by mutual information, and no verdict.
        """
        if [getattr(step, "candidates", None) for step in self.steps] != [QUICK]:
            return self
        return self.model_copy(update={"steps": (SearchStatistics(criterion="mutual_information"),)})

    @property
    def title(self) -> str:
        """The preset that it is, whatever its seed and the limits of a search, and its steps.

        >>> PRESETS["quick"].title, PRESETS["auto"].title, PRESETS["temperature"].title
        ('quick: auto', 'auto', 'temperature: temperature, measure')
        """
        steps = ", ".join(step.kind for step in self.steps)
        preset = next((name for name, preset in PRESETS.items() if _unlimited(preset) == _unlimited(self)), steps)
        return steps if preset == steps else f"{preset}: {steps}"

    @property
    def canonical(self) -> str:
        """Canonical JSON without defaulted fields, so that a field added later changes no old digest."""
        return canonical(self)

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`canonical`, in hexadecimal: the identity of the recipe."""
        return digest(self)


#: The fields that limit a search, and leave it the same preset.
_LIMITS = ("max_passes", "max_minutes", "shifts", "guardrail")


def _unlimited(recipe: Recipe) -> tuple[StepValue, ...]:
    """The steps without the limits of a search."""
    defaults = [{name: field.default for name, field in type(step).model_fields.items()} for step in recipe.steps]
    return tuple(
        step.model_copy(update={name: own[name] for name in _LIMITS if name in own})
        for step, own in zip(recipe.steps, defaults, strict=True)
    )


PRESETS: Mapping[str, Recipe] = {
    "quick": Recipe(steps=(Auto(candidates=QUICK),)),
    "auto": Recipe(steps=(Auto(),)),
    "alpha": Recipe(steps=(SearchAlpha(), Temperature(), Measure())),
    "temperature": Recipe(steps=(Temperature(), Measure())),
    "statistics": Recipe(steps=(SearchStatistics(), Temperature(), Measure())),
    "adabn": Recipe(steps=(Reestimate(), Temperature(), Measure())),
    "repair": Recipe(steps=(Reestimate(only="sick"), Temperature(), Measure())),
    "precise_bn": Recipe(steps=(Reestimate(on="training", order="batch"), Temperature(), Measure())),
    "measure": Recipe(steps=(Measure(),)),
    "probe": Recipe(
        steps=(
            ProbeEstimationShift(),
            ProbeStatisticNoise(deltas=(0.1, 0.3, 0.5), max_samples=512),
            ProbeOutputBound(),
            ProbeChannelHealth(),
        )
    ),
    "field_shift": Recipe(steps=(ProbeFieldShift(),)),
    "adaptation": Recipe(steps=(ProbeAdaptation(),)),
}


def words_of_training_data_use() -> str:
    """Which steps use training data, with which settings, and which presets need them.

    >>> words_of_training_data_use().split("; ")[1]
    'the preset precise_bn has one'
    """
    steps = {kind: step.uses_training_data for kind, step in STEP_KINDS.items() if step.uses_training_data is not None}
    listed = ", ".join(f"{kind} {setting}".rstrip() for kind, setting in steps.items())
    presets = [name for name, preset in PRESETS.items() if any(s.training_data == "required" for s in preset.steps)]
    return f"the steps that use training data are {listed}; the preset {' or '.join(presets)} has one"
