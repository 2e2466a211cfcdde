"""The probe as a recipe has it."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.adaptation.result import Adaptation
from calibrate.steps.adaptation_methods import (
    EATA,
    ETA,
    IEW,
    LAME,
    SAR,
    BNAlpha,
    CollapseRule,
    Method,
    PredictionTimeBN,
    Tent,
)
from calibrate.steps.step import Probe, TrainingDataUse
from calibrate.steps.streams import Stream
from calibrate.values import NUMBER


class ProbeAdaptation(Probe):
    """Compare test-time adaptation methods on streams.

    Let adapters predict streams made of the holdout half, each beside the network without adaptation, and compare.

    Labels are used to score the predictions only. Each stream comes in as many orders as there are ``seeds``.

    With each stream made of the holdout half in as many orders as there are ``seeds``, each example scored when it is
    predicted, and before it can be learned from::

        top-1 = mean over the stream of [argmax logits = label]
        differences: method − no adaptation, method − IEW, on the same examples

    *Changes nothing when* always: it only looks.

    *Helps when* one wants to know which method a stream like this calls for, what it costs and what it forgets,
    before one lets a network change itself in service.

    *Does not help when* the stream to come has another order, batch size or shift: the same method wins on one and
    fails on the other.

    Cost: for each stream, seed and method, a pass over the stream and what the method adds, up to two backward
    passes, and a pass over the examples as they are to see what was forgotten.

    Limits: needs labels, to score with: no method sees them. Defaults are the papers' for their networks and not
    tuned for yours. Domains need the extra corruptions.

    Reference: Wang, Shelhamer, Liu, Olshausen and Darrell, Tent: Fully Test-Time Adaptation by Entropy Minimization,
    ICLR 2021; Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023 (where they fail);
    each method's own: `afternorm methods tent`
    """

    result = Adaptation
    uses_training_data = "with the method eata"

    kind: Literal["adaptation"] = "adaptation"
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = (
        IEW(),
        PredictionTimeBN(),
        BNAlpha(prior=16.0),
        Tent(),
        ETA(),
        SAR(),
        LAME(),
    )
    streams: Annotated[tuple[Stream, ...], Field(min_length=1)] = (Stream(), Stream(order="class_sorted"))
    seeds: Annotated[int, Field(ge=1, le=100, description="orders of each stream"), NUMBER] = 3
    max_samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None,
        Field(description="at most so many examples, drawn from the holdout half; else all of it"),
    ] = 1000
    collapse: Annotated[CollapseRule | None, Field(description="when to go back to the source; null for never")] = (
        CollapseRule()
    )
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000

    @property
    def asked_methods(self) -> tuple[Method, ...]:
        """The adaptation methods that the step runs."""
        return self.methods

    @property
    def asked_streams(self) -> tuple[Stream, ...]:
        """The streams that they meet."""
        return self.streams

    @property
    def training_data(self) -> TrainingDataUse:
        """EATA learns from it what the network must not forget."""
        return "optional" if any(isinstance(method, EATA) for method in self.asked_methods) else "unused"

    @property
    def corrupts(self) -> bool:
        """Whether a domain of a stream is a corruption."""
        return any(domain.corruption for stream in self.asked_streams for domain in stream.domains)
