"""The steps that tune a trained network in one go: α, running statistics, temperature."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.recipe.step import Alpha, Sites, StepValue
from calibrate.values import NUMBER


class SetAlpha(StepValue):
    """Give each example the weight ``alpha`` in its own statistics at the matching sites."""

    needs_labels = False

    kind: Literal["set_alpha"] = "set_alpha"
    alpha: Alpha
    sites: Sites = ("*",)


class SearchAlpha(StepValue):
    """Choose one α for the matching sites on the calibration half, jointly with the temperature.

    The chosen α has the lowest cross-entropy after its own best temperature. It must beat α = 0 by more than
    ``margin`` paired standard errors, else α = 0 stays: a free network is not traded for noise. Where the sites are
    GroupNorm layers, for which α = 1 changes nothing, the search goes down from there to 1 − ``maximum``.
    """

    kind: Literal["search_alpha"] = "search_alpha"
    maximum: Annotated[float, Field(gt=0, le=1, description="largest α tried; for GroupNorm, 1 − α"), NUMBER] = 0.5
    refinements: Annotated[int, Field(ge=0, le=20, description="α's tried at a parabola's minimum"), NUMBER] = 2
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which α must beat 0"), NUMBER] = 1.0
    curve: Annotated[bool, Field(description="also draw the dense curve over α, for 8 more passes")] = True
    sites: Sites = ("*",)


class Reestimate(StepValue):
    """Give the matching BatchNorm layers the mean and variance of their inputs on data, whose labels are not used.

    They are of the calibration half or, with ``on: training``, of the training data that the request gives.
    ``in_order``: as every layer sees them once the layers before it have theirs. ``batch``: as it sees them while the
    layers before normalise by the batch. ``augmentation`` makes images like those that many networks were trained on,
    each in one way for each seed. The old statistics count as much as ``prior`` images do; ``moments`` makes of both
    one population, ``published`` mixes their variances as Schneider et al. (2020) do.
    """

    needs_labels = False

    kind: Literal["reestimate"] = "reestimate"
    on: Annotated[Literal["calibration", "training"], Field(description="which data")] = "calibration"
    order: Annotated[Literal["in_order", "batch"], Field(description="what the layers before normalise by")] = (
        "in_order"
    )
    samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None, Field(description="examples drawn of the data; else all")
    ] = None
    augmentation: Annotated[
        Literal["none", "flip_crop"],
        Field(description="of images; flip_crop: mirrored or not, and shifted by up to 1/8 over black"),
    ] = "none"
    prior: Annotated[float, Field(ge=0, le=1e9, description="weight of the old statistics, in images"), NUMBER] = 0.0
    variant: Annotated[Literal["moments", "published"], Field(description="how a prior is mixed in")] = "moments"
    sites: Sites = ("*",)

    @model_validator(mode="after")
    def _variant_of_a_prior(self) -> Self:
        if self.variant == "published" and not self.prior:
            raise ValueError("variant is how a prior is mixed in, and prior is 0; give a prior, or leave variant out")
        return self


class Temperature(StepValue):
    """Divide the logits by the T > 0 that minimises cross-entropy on the calibration half."""

    kind: Literal["temperature"] = "temperature"
