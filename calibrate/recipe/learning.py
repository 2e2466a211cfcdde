"""The steps that learn by gradient from the labels of the calibration half: α, or γ and β."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.recipe.step import Sites, StepValue
from calibrate.values import NUMBER


class Learning(StepValue):
    """A step that learns from three quarters of the calibration half, and is judged on the quarter held back."""

    kind: str
    epochs: Annotated[int, Field(ge=1, le=1000, description="most passes over what is learned from"), NUMBER] = 10
    patience: Annotated[int, Field(ge=1, le=1000, description="epochs without a new best, to end with"), NUMBER] = 3
    batch_size: Annotated[int, Field(ge=1, le=4096, description="examples in a step of the optimizer"), NUMBER] = 32
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam"), NUMBER]
    pull: Annotated[float, Field(ge=0, le=1e9, description="weight of the pull to where it starts"), NUMBER]
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which it must help"), NUMBER] = 1.0
    sites: Sites = ("*",)


class LearnAlpha(Learning):
    """Learn an α for each matching site, or each of its channels, on the labels of the calibration half.

    It sets out from the α that the sites have, so a search for one α goes before it. The epoch whose cross-entropy on
    the quarter held back is lowest, each after its own best temperature, must beat the start by more than ``margin``
    paired standard errors, else the start stays.
    """

    kind: Literal["learn_alpha"] = "learn_alpha"
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam, on logit α"), NUMBER] = 0.1
    pull: Annotated[
        float, Field(ge=0, le=1e9, description="weight of the mean squared distance of logit α from its start"), NUMBER
    ] = 0.01
    per: Annotated[Literal["layer", "channel"], Field(description="what has an α of its own")] = "layer"


class TuneAffine(Learning):
    """Tune γ and β of the matching sites, and nothing else, on the labels of the calibration half.

    Running statistics normalise throughout. The epoch whose cross-entropy on the quarter held back is lowest, each
    after its own best temperature, must beat the start by more than ``margin`` paired standard errors, else the start
    stays.
    """

    kind: Literal["tune_affine"] = "tune_affine"
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam"), NUMBER] = 0.003
    pull: Annotated[
        float, Field(ge=0, le=1e9, description="weight of half the squared distance of γ, β from their start"), NUMBER
    ] = 1.0
