"""The step ``adapt``: what an adaptation method learns from a stream becomes part of the network."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.steps.adaptation_methods import (
    EATA,
    CollapseRule,
    Method,
    described,
    method_name,
    stream_words,
)
from calibrate.steps.step import StepResult, StepValue, TrainingDataUse
from calibrate.steps.streams import Stream

#: The methods whose result can be kept as weights.
KEPT = ("iew", "tent", "eta", "eata", "sar")


class StreamLearning(StepResult):
    """What the ``method`` learned from the ``stream`` of ``images`` examples, and left in the network.

    ``learned`` are the names of tensors; ``reestimated`` says whether the running statistics were fitted to them;
    ``collapses`` counts how often the adapted network went back to the source.
    """

    kind: Literal["adapt"] = "adapt"
    method: Method
    stream: Stream
    images: int
    learned: tuple[str, ...]
    reestimated: bool
    collapses: int

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """γ and β, where the method learned some."""
        return (f"γ and β from {method_name(self.method)}",) if self.learned else ()

    def sections(self) -> tuple[Section, ...]:
        """What was learned by which method from which stream."""
        return (Section(f"Learned from a stream by {method_name(self.method)}", (_shows(self),)),)


class Adapt(StepValue):
    """Let a test-time adaptation method learn from examples, and keep what it has learned.

    Let one adapter learn from a stream made of the calibration half, without labels, and keep what it has learned.

    What was learned under the statistics of batches needs running statistics that fit it: they are re-estimated on the
    same examples.

    With ``method`` at work on the calibration half in the order of ``stream``, batch after batch, and γ and β the
    weights of the matching BatchNorm layers::

        γ, β ← those at the end of the stream;  rm, rv ← mean and variance of the layers' inputs on the same examples

    *Changes nothing when* the method has learned nothing; the statistics are re-estimated all the same where it
    normalised by the batch.

    *Helps when* the examples, unlabelled, are like the data to come, and the shift is strong and the same for all.

    *Does not help when* the shift is mild, or the examples come sorted by class or from several domains: then
    predictions drift or collapse. The step adaptation shows what a stream does.

    Cost: that of the method over one pass of the calibration half, and about two passes to re-estimate the
    statistics; in inference nothing, but for iew, which costs what set_alpha does.

    Limits: needs no labels, so nothing holds it to the truth: measure afterwards. Only iew, tent, eta, eata and sar
    leave something to keep. An adapted network that collapses goes back to the source (``collapse``).

    Reference: Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021, §4 (offline); each
    method's own: `afternorm methods tent`
    """

    needs_labels = False
    jobs = frozenset({"calibrate", "adapt"})
    adapts = True
    result = StreamLearning
    uses_training_data = "with the method eata"

    kind: Literal["adapt"] = "adapt"
    method: Method
    stream: Stream = Stream()
    collapse: Annotated[CollapseRule | None, Field(description="when to go back to the source; null for never")] = (
        CollapseRule()
    )

    @property
    def asked_methods(self) -> tuple[Method, ...]:
        """The adaptation methods that the step runs."""
        return (self.method,)

    @property
    def asked_streams(self) -> tuple[Stream, ...]:
        """The streams that they meet."""
        return (self.stream,)

    @property
    def training_data(self) -> TrainingDataUse:
        """EATA learns from it what the network must not forget."""
        return "optional" if any(isinstance(method, EATA) for method in self.asked_methods) else "unused"

    @property
    def corrupts(self) -> bool:
        """Whether a domain of a stream is a corruption."""
        return any(domain.corruption for stream in self.asked_streams for domain in stream.domains)

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


def _shows(result: StreamLearning) -> str:
    if not result.learned:
        return f"By {described(result.method)}, which learns nothing from a stream: the network has its α."
    back = f", after {fmt.counted(result.collapses, 'collapse')} back to the source" if result.collapses else ""
    return (
        f"{fmt.counted(len(result.learned), 'tensor')} learned by {described(result.method)} from "
        f"{fmt.counted(result.images, 'example')} of the calibration half, without labels "
        f"({stream_words(result.stream)}){back}"
        f"{'; running statistics re-estimated on the same examples' if result.reestimated else ''}."
    )
