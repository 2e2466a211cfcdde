"""The steps that only look: closed, frozen, tagged by ``kind``."""

from itertools import pairwise
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from calibrate.recipe.corruptions import CORRUPTION_SETS, Corruption, CorruptionSet
from calibrate.recipe.step import Probe, Sites
from calibrate.values import NUMBER

Item = TypeVar("Item")


def _different(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if twice := [item for place, item in enumerate(items) if item in items[:place]]:
        raise ValueError(f"{twice[0]!r} stands twice; name each once")
    return items


def _set_or_list(value: object) -> str:
    return "<set>" if isinstance(value, str) else "<list>"


class ProbeEstimationShift(Probe):
    """Measure how far the running statistics of the matching layers are from those of their inputs, without labels.

    With training data also how far the network's input, layer 0, is from theirs.
    """

    needs_labels = False

    kind: Literal["estimation_shift"] = "estimation_shift"
    sites: Sites = ("*",)


class ProbeCorruptions(Probe):
    """Measure the network as it came, and as it stands, on C-style corruptions of the images, each seeded.

    Each arm with the temperature of the clean calibration half. ``names`` is a set of corruptions or a list of them.
    """

    kind: Literal["corruptions"] = "corruptions"
    names: Annotated[
        Annotated[CorruptionSet, Tag("<set>")]
        | Annotated[tuple[Corruption, ...], Field(min_length=1), AfterValidator(_different), Tag("<list>")],
        Discriminator(_set_or_list),
        Field(description="all 19, the 15 common ones, the 4 for validation, or those listed"),
    ] = "all"
    severities: Annotated[
        tuple[Annotated[int, Field(ge=1, le=5), NUMBER], ...],
        Field(min_length=1, description="strengths, 1 to 5"),
        AfterValidator(_different),
    ] = (1, 2, 3, 4, 5)
    samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None, Field(description="examples drawn; else the whole holdout half")
    ] = None
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000

    @property
    def corruptions(self) -> tuple[Corruption, ...]:
        """The corruptions, by name."""
        return CORRUPTION_SETS[self.names] if isinstance(self.names, str) else self.names


class ProbeOutputBound(Probe):
    """Compare what the matching BatchNorm layers put out in inference with what they can put out in training.

    Training batches are drawn at random from the holdout half, and normalised by their own statistics. Needs no labels.
    """

    needs_labels = False

    kind: Literal["output_bound"] = "output_bound"
    train_batch_size: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="examples in a training batch: a device's, or all with SyncBatchNorm"),
        NUMBER,
    ] = 128
    sites: Sites = ("*",)


class ProbeChannelHealth(Probe):
    """Count channels that carry nothing or explode, and describe γ, β and the gradient factor, without labels."""

    needs_labels = False

    kind: Literal["channel_health"] = "channel_health"
    sites: Sites = ("*",)


class ProbeStatisticNoise(Probe):
    """Disturb running statistics at random, by up to Δ of their size, and measure what the network then answers.

    ``first_of_blocks``: of each of the first six residual blocks with matching layers, the first of these; where no
    block has any, the first six matching layers. ``together``: all of them at once; ``each``: one layer at a time.
    """

    kind: Literal["statistic_noise"] = "statistic_noise"
    deltas: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1), NUMBER], ...],
        Field(min_length=1, description="magnitudes Δ of the noise, ascending"),
    ] = (0.1, 0.2, 0.3, 0.4, 0.5)
    repetitions: Annotated[int, Field(ge=5, le=1000, description="draws of the noise for each Δ"), NUMBER] = 5
    granularity: Annotated[Literal["channel", "layer"], Field(description="what has a draw of its own")] = "channel"
    where: Annotated[Literal["first_of_blocks", "all"], Field(description="which of the matching layers")] = (
        "first_of_blocks"
    )
    disturb: Annotated[Literal["together", "each"], Field(description="all layers at once, or one at a time")] = (
        "together"
    )
    max_samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None,
        Field(description="at most so many examples, drawn from the holdout half; else all of it"),
    ] = None
    sites: Sites = ("*",)

    @field_validator("deltas")
    @classmethod
    def _ascending(cls, deltas: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(deltas)):
            raise ValueError(f"deltas are {', '.join(map(str, deltas))}; give each once, the smallest first")
        return deltas
