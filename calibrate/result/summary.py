"""The summary: everything a report, a job row or a dashboard needs to know of one run, as JSON without torch."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union

from pydantic import Field, model_validator

from calibrate.errors import UsageError
from calibrate.recipe import ALL_STEPS, Preprocessing, Recipe
from calibrate.result.artifact import Artifact, Serving
from calibrate.result.findings import Finding, LayerCondition
from calibrate.result.version_1 import reading, summary_from_version_1
from calibrate.steps import FieldShift, InputFit, Measurement, NotApplicable, StepResult, StepValue
from calibrate.values import Autocast, Value, Verdict

if TYPE_CHECKING:
    StepOutcome = StepResult
else:
    #: What came of a step, told apart by its ``kind``; or why a probe had nothing to look at.
    StepOutcome = Annotated[
        Union[(*dict.fromkeys(step.result for step in ALL_STEPS if step.result), NotApplicable)],
        Field(discriminator="kind"),
    ]


R = TypeVar("R", bound=StepResult)


class SiteSummary(Value):
    """One normalisation layer: all its names in the network, its kind and what was done to it."""

    names: tuple[str, ...]
    kind: str
    channels: int
    alpha: float | tuple[float, ...] | None
    note: str = ""

    @property
    def alphas(self) -> tuple[float, ...]:
        """Its α's, of all channels where these have their own; none where it weighs no example."""
        if self.alpha is None:
            return ()
        return self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)


class ModelFacts(Value):
    """The original network; ``outputs`` is 0 where it puts out something else than logits (N, K)."""

    architecture: str
    architecture_args: dict[str, Any]
    parameters: int
    outputs: int
    dtype: str
    fingerprint: str


class TrainingData(Value):
    """The examples of the network's training that the run was given; their labels are not used."""

    source: str
    fingerprint: str
    n: int


class Data(Value):
    """The examples, and how they were split; ``classes_present`` is 0 where they have no labels."""

    source: str
    fingerprint: str
    n: int
    calibration: int
    holdout: int
    classes_present: int
    stratified: bool
    preprocessing: Preprocessing | None
    training: TrainingData | None = None


class Changes(Value):
    """What the tuned network does differently from the one that came."""

    sites: tuple[SiteSummary, ...]
    temperature: float
    temperature_folded_into: str | None

    @property
    def alphas(self) -> tuple[float, ...]:
        """Every α, layer by layer and channel by channel."""
        return tuple(alpha for site in self.sites for alpha in site.alphas)


class Environment(Value):
    """Where the numbers were made, and how passes were: the same environment and seed give the same bits.

    ``channels_last`` and ``folds`` are of the passes' form: inputs lie channels last in memory, BatchNorm is folded
    into convolutions. ``autocast`` is the precision of what torch may compute in less.
    """

    afternorm: str
    python: str
    platform: str
    versions: dict[str, str]
    device: str
    threads: int
    batch_size: int
    channels_last: bool = False
    folds: bool = False
    autocast: Autocast | None = None


class Timings(Value):
    """Wall-clock seconds per stage, and forward passes in units of one pass over the calibration half.

    An example that was learned from counts three passes: learning goes forward once, and back for twice the cost.
    """

    seconds: dict[str, float]
    passes: float


class LayerStatistics(Value):
    """One normalisation layer in numbers, over its C channels; None where it has no such thing, or it is not finite.

    ``positions`` is the fewest positions per channel it was seen with. ``mean_offset`` is mean |rm| / √(rv + eps) for
    running mean rm and running variance rv; ``dead`` is the share of channels with rv < ``DEAD_VARIANCE``. γ begins at
    1 and β at 0 in training: ``gamma_drift`` is mean |γ − 1| and ``beta_drift`` mean |β|. ``alpha`` is its mean.
    """

    name: str
    channels: int
    positions: int | None
    mean_offset: float | None
    variance_min: float | None
    variance_median: float | None
    variance_max: float | None
    dead: float | None
    gamma_mean: float | None
    gamma_drift: float | None
    beta_drift: float | None
    alpha: float | None


class Summary(Value):
    """One run, whole: what was given, what came of each step, how the network stands, and the verdict.

    ``input_fit`` is how the examples fitted the network that came, or why that could not be told.
    ``outcomes`` stand in the order of the recipe; of a step that leaves nothing to say there is none. Summaries of
    version 1 are read too, and become of version 2. ``sick`` are the layers of the original network whose statistics
    are wrong.
    """

    version: Literal[2] = 2
    recipe: Recipe
    recipe_digest: str
    model: ModelFacts
    data: Data
    changes: Changes
    outcomes: tuple[StepOutcome, ...]
    verdict: Verdict | None
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    environment: Environment
    timings: Timings
    artifacts: tuple[Artifact, ...] = ()
    layers: tuple[LayerStatistics, ...] = ()
    serving: tuple[Serving, ...] = ()
    input_fit: Annotated[InputFit | NotApplicable, Field(discriminator="kind")] | None = None
    sick: tuple[LayerCondition, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, document: Any) -> Any:
        return reading(document, summary_from_version_1)

    def of(self, result: type[R]) -> tuple[R, ...]:
        """The outcomes that are of the class ``result``, in the order of the recipe.

        Raises UsageError for the class of a step, whose outcomes are of another class.
        """
        if issubclass(result, StepValue):
            name = result.result.__name__ if result.result else "none of its own"
            raise UsageError(f"{result.__name__} is a step; the class of its outcome is {name}, from calibrate.steps.")
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, result))

    def last(self, result: type[R]) -> R | None:
        """The last of them; None where there is none."""
        return next(reversed(self.of(result)), None)

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """What the steps changed in the network besides α, in words, each thing once."""
        return tuple(dict.fromkeys(part for outcome in self.outcomes for part in outcome.tuned_parts))

    @property
    def measurement(self) -> Measurement | None:
        """The scores of the original and the tuned network; None where the recipe does not measure."""
        return self.last(Measurement)

    @property
    def shifted(self) -> bool | None:
        """Whether the data have shifted from the reference; None where that was not asked, or cannot be told."""
        found = self.last(FieldShift)
        return None if found is None else found.shifted

    @property
    def unsound(self) -> tuple[str, ...]:
        """Why a gain may be none: what of the inputs or of the network that came was not sound, in words."""
        misfits = isinstance(self.input_fit, InputFit) and self.input_fit.unsound
        return (
            *(("the inputs do not fit the network",) if misfits else ()),
            *(("running statistics of the network are sick",) if self.sick else ()),
        )

    @property
    def is_repair(self) -> bool:
        """Whether the verdict is improved on what is proven not to be sound: then the gain may undo that alone."""
        fit = self.input_fit
        misfits = isinstance(fit, InputFit) and fit.unsound and fit.proven is True
        return self.verdict == "improved" and (misfits or bool(self.sick))

    @property
    def digest(self) -> str:
        """SHA-256 of the result: everything but timings, the files that were written and how fast they are."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(document: Mapping[str, Any]) -> str:
    """The digest of a summary in a file, of whatever version; that of a summary is of its own JSON."""
    fields = {name: value for name, value in document.items() if name not in ("timings", "artifacts", "serving")}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` units of the named stage are finished; a stage ends when the two are equal."""

    stage: str
    done: int
    total: int


Listener = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Listen to nothing."""
