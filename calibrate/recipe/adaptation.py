"""The steps of test-time adaptation: comparing methods on streams, and keeping what one has learned."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.recipe.adapters import (
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
from calibrate.recipe.step import Probe, StepValue
from calibrate.recipe.streams import Stream
from calibrate.values import NUMBER

#: The methods whose result can be kept as weights.
KEPT = ("iew", "tent", "eta", "eata", "sar")


class ProbeAdaptation(Probe):
    """Let adapters answer streams made of the holdout half, each beside the network as it stands, and compare them.

    Labels are used to score the answers only. Each stream comes in as many orders as there are ``seeds``.
    """

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


class Adapt(StepValue):
    """Let one adapter learn from a stream made of the calibration half, without labels, and keep what it has learned.

    What was learned under the statistics of batches needs running statistics that fit it: they are re-estimated on the
    same examples.
    """

    needs_labels = False

    kind: Literal["adapt"] = "adapt"
    method: Method
    stream: Stream = Stream()
    collapse: Annotated[CollapseRule | None, Field(description="when to go back to the source; null for never")] = (
        CollapseRule()
    )

    @model_validator(mode="after")
    def _something_to_keep(self) -> Self:
        if self.method.kind not in KEPT:
            raise ValueError(
                f"{self.method.kind} works batch by batch and leaves nothing to store; take one of {', '.join(KEPT)}, "
                "or the step reestimate for the statistics of these examples"
            )
        if self.stream.episodic:
            raise ValueError("an episodic stream leaves nothing learned; leave episodic out")
        return self
