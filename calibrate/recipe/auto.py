"""The step that tries several candidates, and compares them in one leaderboard."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from calibrate.recipe.label_free import LabelFreeAlpha
from calibrate.recipe.learning import LearnAlpha, TuneAffine
from calibrate.recipe.step import StepValue
from calibrate.recipe.streams import Domain
from calibrate.recipe.tuning import Reestimate, SearchAlpha, SetAlpha
from calibrate.values import NUMBER, Value

#: Names that the leaderboard gives to the network as it came, without and with its temperature.
TAKEN = ("plain", "T")

TuningStep = Annotated[
    SetAlpha | SearchAlpha | LabelFreeAlpha | LearnAlpha | TuneAffine | Reestimate, Field(discriminator="kind")
]

#: The kinds of those steps.
TUNING_KINDS = frozenset(step.model_fields["kind"].default for step in get_args(get_args(TuningStep)[0]))


class Candidate(Value):
    """Steps that tune the network, under the name that tables call them by. A temperature is fitted after the last."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    steps: Annotated[tuple[TuningStep, ...], Field(min_length=1, max_length=8)]


_ALPHA = SearchAlpha(curve=False)

#: What is tried where nothing else is said, from the simplest on: what folds into the convolutions before what does
#: not, few numbers chosen by labels before many.
CANDIDATES = (
    Candidate(name="re-estimated, prior 4096", steps=(Reestimate(prior=4096),)),
    Candidate(name="re-estimated, prior 512", steps=(Reestimate(prior=512),)),
    Candidate(name="re-estimated", steps=(Reestimate(),)),
    Candidate(name="α", steps=(_ALPHA,)),
    Candidate(name="label-free α, entropy", steps=(LabelFreeAlpha(criterion="entropy"),)),
    Candidate(name="label-free α, agreement", steps=(LabelFreeAlpha(criterion="agreement"),)),
    Candidate(name="label-free α, estimation shift", steps=(LabelFreeAlpha(criterion="estimation_shift"),)),
    Candidate(name="re-estimated, prior 4096, α", steps=(Reestimate(prior=4096), _ALPHA)),
    Candidate(name="re-estimated, prior 512, α", steps=(Reestimate(prior=512), _ALPHA)),
    Candidate(name="re-estimated, α", steps=(Reestimate(), _ALPHA)),
    Candidate(name="α per layer", steps=(_ALPHA, LearnAlpha())),
    Candidate(name="γ and β", steps=(TuneAffine(),)),
    Candidate(name="α, γ and β", steps=(_ALPHA, TuneAffine())),
    Candidate(name="α per channel", steps=(_ALPHA, LearnAlpha(per="channel"))),
)


class Auto(StepValue):
    """Try candidates on the calibration half, compare all on the holdout half, and keep what is recommended.

    Candidates are listed from the simplest on. On the calibration half the simplest is chosen whose cross-entropy after
    its temperature is within ``margin`` paired standard errors of the best; the network as it came, without and with a
    temperature, comes before them all. Candidates that learned by gradient, and so have fewer examples left, choose
    among themselves first, and so do the others, on all examples. The chosen one is recommended, and kept, where the
    holdout half shows that it improves on the temperature alone; else the temperature where that does; else nothing.

    With ``shifts`` every example comes in one of these domains, drawn by the seed, and what is recommended must not
    cost more top-1 than ``guardrail`` on the data as they are. With a budget many candidates see few examples first,
    and the better half of them twice as many, until the rest sees all.
    """

    kind: Literal["auto"] = "auto"
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=100)] = CANDIDATES
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors that count as noise"), NUMBER] = 1.0
    max_passes: Annotated[
        Annotated[float, Field(ge=2, le=1e6), NUMBER] | None,
        Field(description="budget in passes over the calibration half; a gradient step's pass counts as three"),
    ] = None
    max_minutes: Annotated[
        Annotated[float, Field(gt=0, le=1e6), NUMBER] | None,
        Field(description="budget in minutes; what is tried then depends on the machine"),
    ] = None
    shifts: Annotated[tuple[Domain, ...], Field(description="domains to choose and measure on")] = ()
    guardrail: Annotated[
        float, Field(gt=0, le=1, description="largest loss of top-1 on data as they are, with shifts"), NUMBER
    ] = 0.01
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000
    bins: Annotated[int, Field(ge=2, le=100, description="confidence bins of the calibration error"), NUMBER] = 15

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [candidate.name for candidate in self.candidates]
        for name in names:
            if name in TAKEN:
                raise ValueError(f"a candidate is called {name!r}, as the leaderboard calls the network as it came")
            if names.count(name) > 1:
                raise ValueError(f"two candidates are called {name!r}; give each a name of its own")
        return self

    @model_validator(mode="after")
    def _on_the_data(self) -> Self:
        for candidate in self.candidates:
            if any(isinstance(step, Reestimate) and step.on == "training" for step in candidate.steps):
                raise ValueError(f"the candidate {candidate.name!r} wants training data; a candidate has none")
        return self

    @model_validator(mode="after")
    def _guardrail_of_shifts(self) -> Self:
        if self.guardrail != type(self).model_fields["guardrail"].default and not self.shifts:
            raise ValueError("guardrail guards the data as they are against shifts, and there are none; leave it out")
        if len(set(self.shifts)) < len(self.shifts):
            raise ValueError("a shift is listed twice; name each once")
        return self
