"""What all steps of a recipe and their results share."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.steps.card import introduction
from calibrate.values import NUMBER, Value

Alpha = Annotated[float, Field(ge=0, le=1, description="weight of an example in its own statistics"), NUMBER]

Sites = Annotated[
    tuple[str, ...],
    Field(min_length=1, description="name patterns of the normalisation layers, as in shell globs"),
]

#: The kinds of REST jobs that carry out a recipe.
JobKind = Literal["calibrate", "evaluate", "probe", "adapt"]

#: What a step does with training data.
TrainingDataUse = Literal["unused", "optional", "required"]


class Described(Value):
    """A value whose docstring is a card; its JSON schema has the part before the formula."""

    kind: str

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema, described by the introduction of the docstring."""
        made = handler(schema)
        handler.resolve_ref_schema(made)["description"] = introduction(cls)
        return made


class StepResult(Value):
    """What came of a step, for a summary, told apart by its ``kind``; how it reads is said beside it."""

    kind: str

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """What the step changed in the network besides α, in words; nothing where it did not."""
        return ()

    def sections(self) -> tuple[Section, ...]:
        """The sections of a report that tell of it."""
        return ()


class StepValue(Described):
    """One step of a recipe: a closed, frozen value, tagged by ``kind``, whose docstring is its card."""

    #: Whether the step can be carried out on labelled data only.
    needs_labels: ClassVar[bool] = True
    #: What a summary keeps of it, told apart from others by its ``kind``; None where it keeps nothing of its own.
    result: ClassVar[type[StepResult] | None] = None
    #: Whether it is a probe: it changes nothing, and may stand after the measurement.
    is_probe: ClassVar[bool] = False
    #: Whether the step may be part of a candidate of the step ``auto``.
    tunes: ClassVar[bool] = False
    #: Whether the step leaves an adapted network, which ``afternorm adapt`` and its jobs then write.
    adapts: ClassVar[bool] = False
    #: Whether the step compares the data with a reference, and tells whether they have shifted.
    needs_reference: ClassVar[bool] = False
    #: Whether the step gives the layers at its ``sites`` an α.
    weighs_examples: ClassVar[bool] = False
    #: With which settings the step uses training data, in words; empty for any, None where it never does.
    uses_training_data: ClassVar[str | None] = None
    #: The kinds of jobs over REST that permit the step.
    jobs: ClassVar[frozenset[JobKind]] = frozenset({"calibrate"})

    @property
    def training_data(self) -> TrainingDataUse:
        """Whether the step uses training data, and whether it can do without."""
        return "unused"

    @property
    def needs_logits(self) -> bool:
        """Whether the step looks at the network's logits (N, K); one that does not works on networks of any output."""
        return True

    @property
    def corrupts(self) -> bool:
        """Whether the step makes C-style corruptions of the images."""
        return False

    @property
    def changes_normalization(self) -> bool:
        """Whether the step gives layers an α or new statistics, which all calls of a layer then share."""
        return self.weighs_examples

    def at_alpha(self, alpha: float) -> "StepValue":  # noqa: ARG002 (steps that search an α use it)
        """The step that gives ``alpha`` where this one searches for an α; else this one."""
        return self


class Probe(StepValue):
    """A step that only looks, at the network as the steps before left it, on the holdout half."""

    is_probe = True
    jobs = frozenset({"calibrate", "probe", "adapt"})


class ProbeResult(StepResult):
    """``tuned`` says that the network was no longer the original one; ``images`` is what was looked at."""

    tuned: bool
    images: int


class NotApplicable(ProbeResult):
    """The ``probe`` has nothing to look at here, for the ``reason`` given."""

    kind: Literal["not_applicable"] = "not_applicable"
    probe: str
    reason: str

    def sections(self) -> tuple[Section, ...]:
        """The reason."""
        title = fmt.printable(self.probe).replace("_", " ").capitalize()
        return (Section(title, (f"Not applicable: {fmt.printable(self.reason)}.",)),)


def kind_of(step: type[Any]) -> str:
    """The ``kind`` by which documents name a class of values."""
    kind: str = step.model_fields["kind"].default
    return kind
