"""The step ``reestimate``: running statistics estimated anew from data."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.page.words import names_words
from calibrate.steps.step import Sites, StepResult, StepValue, TrainingDataUse
from calibrate.values import NUMBER, Value


class Moved(Value):
    """One layer: mean |rm − rm₀| / √(rv₀ + eps) over its channels, and mean |log((rv + eps) / (rv₀ + eps))|.

    rm₀ and rv₀ are the running statistics from before; both are None where these were not finite.
    """

    name: str
    mean: float | None
    log_variance: float | None


class Reestimation(StepResult):
    """The statistics of ``layers`` were measured anew over ``images`` examples, without labels.

    ``on`` says whether these are of the calibration half or of the training data, and ``augmentation`` what was done to
    them; ``only`` whether that was asked for all matching layers, or for sick ones, of which there may be none. In
    layers that are ``partly`` sick the other channels keep their statistics. The old statistics have the ``weight`` λ,
    as much as ``prior`` images; None is without end. ``batch_size`` is how many examples were
    normalised together, where the order was ``batch``. ``passes`` is what that cost, in forward
    passes over these examples.
    """

    kind: Literal["reestimate"] = "reestimate"
    on: Literal["calibration", "training"] = "calibration"
    augmentation: Literal["none", "flip_crop"] = "none"
    only: Literal["all", "sick"] = "all"
    images: int
    weight: float = 0.0
    prior: float | None = 0.0
    batch_size: int | None = None
    passes: float
    layers: tuple[Moved, ...]
    partly: tuple[str, ...] = ()

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """The statistics, where a layer got new ones."""
        return ("re-estimated statistics",) if self.layers else ()

    def sections(self) -> tuple[Section, ...]:
        """How many layers got new statistics from what, and how far these moved."""
        return (Section("Running statistics", (_shows(self), *moved_words(self.layers))),)


class Reestimate(StepValue):
    """Re-estimate the running statistics on data.

    Give the matching BatchNorm layers the mean and variance of their inputs on data, whose labels are not used.

    They are of the calibration half or, with ``on: training``, of the training data that the request gives.
    ``in_order``: as every layer sees them once the layers before it have theirs. ``batch``: as it sees them while the
    layers before normalise by the batch. ``augmentation`` makes images like those that many networks were trained on,
    each in one way for each seed. ``only: sick`` leaves all layers as they are but those whose statistics are sick: not
    finite, never filled, or what no input brings about; of these, channels that are sound keep theirs. The old
    statistics count as much as ``prior`` images do, or have the ``weight`` λ; ``moments`` makes of both one population,
    ``published`` mixes their variances as Schneider et al. (2020) do. Old ones that are not finite count nothing.

    With x a layer's inputs over all n examples (``on`` the calibration half or the training data), taken while the
    layers before it use the new statistics too, and λ = N/(N + n) for a prior of N examples, or the weight given::

        rm ← λ·rm + (1 − λ)·mean(x), and rv so that it is the variance of that mixture (``variant``)

    *Changes nothing when* the running statistics are the data's already; or with the weight 1, or a
    prior that outweighs all examples.

    *Helps when* the data differ from the training data strongly and all alike (AdaBN), training left its running
    averages behind the weights (Precise BN, ``on`` training data), or statistics are broken (``only: sick``).

    *Does not help when* the shift is mild: then it often makes a network worse, which the measurement shows.

    Cost: about two passes over these examples while their activations fit into memory, more beyond; where layers are
    called several times in a pass, 2 to 20 more; in inference nothing.

    Limits: needs no labels, but examples of all classes in the mixture that is to come; a few of them give poor
    statistics. Training data are seen as in inference, not as in training, without ``augmentation``. A layer that is
    called several times gets the statistics of all its inputs in inference with ``order: in_order`` alone; where none
    are found, a finding says how far off it is.

    Reference: Li, Wang, Shi, Hou and Liu, Adaptive Batch Normalization for Practical Domain Adaptation, 2018, §3; Wu
    and Johnson, Rethinking “Batch” in BatchNorm, 2021, §3; Schneider et al., NeurIPS 2020, Eq. 3 (prior)
    """

    needs_labels = False
    tunes = True
    result = Reestimation
    uses_training_data = "with `on: training`"

    kind: Literal["reestimate"] = "reestimate"
    on: Annotated[Literal["calibration", "training"], Field(description="which data")] = "calibration"
    order: Annotated[Literal["in_order", "batch"], Field(description="what the layers before normalise by")] = (
        "in_order"
    )
    samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None, Field(description="examples drawn of the data; else all")
    ] = None
    batch_size: Annotated[
        Annotated[int, Field(ge=1, le=65536), NUMBER] | None,
        Field(description="examples that normalise together with order batch; else --batch-size, or 64"),
    ] = None
    augmentation: Annotated[
        Literal["none", "flip_crop"],
        Field(description="of images; flip_crop: mirrored or not, and shifted by up to 1/8 over black"),
    ] = "none"
    prior: Annotated[float, Field(ge=0, le=1e9, description="weight of the old statistics, in images"), NUMBER] = 0.0
    weight: Annotated[
        Annotated[float, Field(ge=0, le=1), NUMBER] | None,
        Field(description="weight λ of the old statistics, in place of a prior"),
    ] = None
    variant: Annotated[Literal["moments", "published"], Field(description="how a prior is mixed in")] = "moments"
    only: Annotated[Literal["all", "sick"], Field(description="which of the matching layers")] = "all"
    sites: Sites = ("*",)

    @property
    def training_data(self) -> TrainingDataUse:
        """Needed where the statistics are of training data."""
        return "required" if self.on == "training" else "unused"

    @property
    def changes_normalization(self) -> bool:
        """Always."""
        return True

    @model_validator(mode="after")
    def _batch_of_its_order(self) -> Self:
        if self.batch_size is not None and self.order != "batch":
            raise ValueError(
                "batch_size is how many examples normalise together with the order batch, and the order is in_order, "
                "where it makes no difference; give order: batch, or leave batch_size out"
            )
        return self

    @model_validator(mode="after")
    def _variant_of_a_prior(self) -> Self:
        if self.variant == "published" and not (self.prior or self.weight):
            raise ValueError(
                "variant is how a prior is mixed in, and prior is 0; give a prior or weight, or leave variant out"
            )
        if self.weight is not None and self.prior:
            raise ValueError(
                f"prior is {self.prior:g} and weight {self.weight:g}, and both say how much the old statistics count; "
                "give one of them"
            )
        return self

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False


_WHICH = {"calibration": "calibration half", "training": "training data"}
_MADE = {"none": "", "flip_crop": "mirrored and shifted at random, "}


def _shows(result: Reestimation) -> str:
    if not result.layers and result.only == "sick":
        return "Nothing was re-estimated: statistics health calls none of the matching layers sick."
    if not result.layers:
        return "Re-estimated, but no example came to any of the layers."
    if result.weight == 1:
        return "The running statistics stayed as they were, for they have all the weight: λ = 1."
    passes = fmt.counted_roughly(result.passes, "pass", "passes")
    together = f", normalised {result.batch_size} at a time" if result.batch_size else ""
    partly = f" Only the sick channels of {names_words(result.partly)} have new statistics." if result.partly else ""
    if result.weight:
        alike = "" if result.prior is None else f", as much as {fmt.counted(round(result.prior), 'example')}"
        partly = f" The old statistics have the weight λ = {fmt.short(result.weight)}{alike}.{partly}"
    which = "layer" if result.only == "all" else "sick layer"
    return (
        f"{fmt.counted(len(result.layers), which)} re-estimated on {fmt.counted(result.images, 'example')} of the "
        f"{_WHICH[result.on]}, {_MADE[result.augmentation]}without labels{together} ({passes}).{partly}"
    )


def moved_words(layers: Sequence[Moved]) -> tuple[str, ...]:
    """How far the statistics of ``layers`` moved, in a sentence or two; nothing of none."""
    if not layers:
        return ()
    means = {layer.name: layer.mean for layer in layers if layer.mean is not None}
    variances = {layer.name: layer.log_variance for layer in layers if layer.log_variance is not None}
    broken = [layer.name for layer in layers if layer.name not in means]
    words = (
        f"The running statistics of {names_words(broken)} were not finite before, so that there is no distance. "
        if broken
        else ""
    )
    if means:
        furthest, widest = max(means, key=lambda name: means[name]), max(variances, key=lambda name: variances[name])
        words += (
            f"In the mean over channels{', of the other ' + fmt.counted(len(means), 'layer') if broken else ''}, the "
            f"running mean moved by up to {means[furthest]:.2f} standard deviations ({fmt.printable(furthest)}) and "
            f"|log variance| by up to {variances[widest]:.2f} ({fmt.printable(widest)})."
        )
    return (words.strip(),)
