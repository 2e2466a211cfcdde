"""The step: candidates, and how one is chosen."""

from typing import TYPE_CHECKING, Annotated, Literal, Self, Union

from pydantic import Field, model_validator

from calibrate.steps.auto.result import TAKEN, Leaderboard
from calibrate.steps.label_free_alpha import LabelFreeAlpha
from calibrate.steps.learn_alpha import LearnAlpha
from calibrate.steps.search_alpha import SearchAlpha
from calibrate.steps.search_statistics import SearchStatistics
from calibrate.steps.step import StepValue, kind_of
from calibrate.steps.streams import Domain
from calibrate.steps.table import STEPS
from calibrate.steps.tune_affine import TuneAffine
from calibrate.values import NUMBER, Value

if TYPE_CHECKING:
    TuningStep = StepValue
else:
    #: The steps that a candidate may be made of.
    TuningStep = Annotated[Union[tuple(step for step in STEPS if step.tunes)], Field(discriminator="kind")]  # noqa: UP007

#: The kinds of those steps.
TUNING_KINDS = frozenset(kind_of(step) for step in STEPS if step.tunes)


class Candidate(Value):
    """Steps that tune the network, under the name that tables call them by. A temperature is fitted after the last."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    steps: Annotated[tuple[TuningStep, ...], Field(min_length=1, max_length=8)]


_ALPHA, _STATISTICS = SearchAlpha(curve=False), SearchStatistics()

#: What the recipe ``quick`` tries, the simplest first: one number or a line of them by labels, and what folds before
#: what does not.
QUICK = (
    Candidate(name="statistics", steps=(_STATISTICS,)),
    Candidate(name="α", steps=(_ALPHA,)),
    Candidate(name="statistics, α", steps=(_STATISTICS, _ALPHA)),
)

#: What is tried where nothing else is said, from the simplest on: what folds into the convolutions before what does
#: not, few numbers chosen by labels before many.
CANDIDATES = (
    Candidate(name="statistics", steps=(_STATISTICS,)),
    Candidate(name="α", steps=(_ALPHA,)),
    Candidate(name="label-free α, entropy", steps=(LabelFreeAlpha(criterion="entropy"),)),
    Candidate(name="label-free α, agreement", steps=(LabelFreeAlpha(criterion="agreement"),)),
    Candidate(name="label-free α, estimation shift", steps=(LabelFreeAlpha(criterion="estimation_shift"),)),
    Candidate(name="statistics, α", steps=(_STATISTICS, _ALPHA)),
    Candidate(name="α per layer", steps=(_ALPHA, LearnAlpha())),
    Candidate(name="γ and β", steps=(TuneAffine(),)),
    Candidate(name="statistics, γ and β", steps=(_STATISTICS, TuneAffine())),
    Candidate(name="α, γ and β", steps=(_ALPHA, TuneAffine())),
    Candidate(name="α per channel", steps=(_ALPHA, LearnAlpha(per="channel"))),
)


class Auto(StepValue):
    """Try several ways to tune the network, and recommend what is proven to help.

    Try candidates on the calibration half, compare all on the holdout half, and keep what is recommended.

    Candidates are listed from the simplest on. On the calibration half the simplest is chosen whose cross-entropy after
    its temperature is within ``margin`` paired standard errors of the best; the original network, without and with a
    temperature, comes before them all. Candidates that learned by gradient, and so have fewer examples left, choose
    among themselves first, and so do the others, on all examples. The chosen one is recommended, and kept, where the
    holdout half shows that it improves on the temperature alone; else the temperature where that does; else nothing.

    With ``shifts`` every example comes in one of these domains, drawn by the seed, and what is recommended must not
    cost more top-1 than ``guardrail`` on the data as they are. With a budget many candidates see few examples first,
    and the better half of them twice as many, until the rest sees all.

    With NLL(c) the cross-entropy of candidate c after its temperature, on examples of the calibration half that it
    did not learn from, c₀ that of the lowest, and se the paired standard error, first among candidates that learned
    by gradient and among the others, then between what these two chose::

        chosen = the first, simplest first, with NLL(c) − NLL(c₀) ≤ margin·se
        recommended where on the holdout half it improves on T

    *Changes nothing when* nothing is recommended.

    *Helps when* one does not know which method suits the network and the data.

    *Does not help when* there are few examples: then it says how large a gain would have to be to show.

    Cost: without gradient steps 55 passes over a calibration half of 2,500 examples, and 79 over one of 300; with
    them 109 to 186; fewer with a budget; in inference that of what is recommended.

    Limits: needs labels. The recommended candidate's numbers are honest, since it was chosen on other examples; the
    best of the others' are not, which Holm's p-values take into account. With a budget in minutes what is tried
    depends on the machine.

    Reference: Jamieson and Talwalkar, AISTATS 2016, §3 (halving); Breiman et al., Classification and Regression
    Trees, 1984, §3.4.3 (the choice); Holm, Scand. J. Statist. 6, 1979
    """

    result = Leaderboard

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

    @property
    def corrupts(self) -> bool:
        """Whether a domain of ``shifts`` is a corruption."""
        return any(domain.corruption for domain in self.shifts)

    @property
    def changes_normalization(self) -> bool:
        """Whether a candidate does."""
        return any(step.changes_normalization for candidate in self.candidates for step in candidate.steps)

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [candidate.name for candidate in self.candidates]
        for name in names:
            if name in TAKEN:
                raise ValueError(f"a candidate is called {name!r}, as a row of any leaderboard; give it another name")
            if names.count(name) > 1:
                raise ValueError(f"two candidates are called {name!r}; give each a name of its own")
        return self

    @model_validator(mode="after")
    def _on_the_data(self) -> Self:
        for candidate in self.candidates:
            if any(step.training_data == "required" for step in candidate.steps):
                raise ValueError(
                    f"the candidate {candidate.name!r} wants training data, and a candidate has none; let it do without"
                )
        return self

    @model_validator(mode="after")
    def _guardrail_of_shifts(self) -> Self:
        if self.guardrail != type(self).model_fields["guardrail"].default and not self.shifts:
            raise ValueError("guardrail guards the data as they are against shifts, and there are none; leave it out")
        if len(set(self.shifts)) < len(self.shifts):
            raise ValueError("a shift is listed twice; name each once")
        return self
