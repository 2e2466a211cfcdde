"""Test-time adaptation methods as recipe values: closed, frozen, tagged by ``kind``, with every hyper-parameter."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from calibrate.recipe.step import Alpha, Sites
from calibrate.values import NUMBER, Value

Share = Annotated[float, Field(ge=0, le=1), NUMBER]
Rate = Annotated[float, Field(gt=0, le=10, description="learning rate"), NUMBER]


class _Method(Value):
    kind: str


class _LayerMethod(_Method):
    sites: Sites = ("*",)


class Adam(Value):
    """Adam with torch's other defaults."""

    kind: Literal["adam"] = "adam"
    lr: Rate = 1e-3


class SGD(Value):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    lr: Rate = 2.5e-4
    momentum: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.9


Optimizer = Annotated[Adam | SGD, Field(discriminator="kind")]


class IEW(_LayerMethod):
    """Weigh each example in its own statistics by α: stateless, the baseline that any adapter has to beat."""

    kind: Literal["iew"] = "iew"
    alpha: Alpha = 0.05


class PredictionTimeBN(_LayerMethod):
    """Normalise by the batch's own statistics."""

    kind: Literal["prediction_time_bn"] = "prediction_time_bn"


class BNAlpha(_LayerMethod):
    """Mix the batch's statistics into the source's, which weigh ``source_weight``, or prior/(prior + batch size)."""

    kind: Literal["bn_alpha"] = "bn_alpha"
    prior: Annotated[float, Field(ge=0, le=1e9, description="weight of the source, in images"), NUMBER] | None = None
    source_weight: Share | None = None
    variant: Annotated[Literal["moments", "published"], Field(description="how the variances are mixed")] = "moments"

    @model_validator(mode="after")
    def _one_weight(self) -> Self:
        if (self.prior is None) == (self.source_weight is None):
            raise ValueError("the source has one weight; give either prior or source_weight")
        return self


class Tent(_LayerMethod):
    """Minimise the entropy of the answers over γ and β, normalising by the batch; answers are from before the step."""

    kind: Literal["tent"] = "tent"
    optimizer: Optimizer = Adam()
    steps: Annotated[int, Field(ge=1, le=100, description="steps for each batch"), NUMBER] = 1


class ETA(_LayerMethod):
    """Tent on reliable, non-redundant examples: entropy below ``entropy_share``·ln K, |cos| to the mean answer < d."""

    kind: Literal["eta"] = "eta"
    optimizer: Optimizer = SGD()
    entropy_share: Annotated[float, Field(gt=0, le=1, description="of ln K, for K classes"), NUMBER] = 0.4
    redundancy: Annotated[float, Field(gt=0, le=1, description="largest |cos| kept, d"), NUMBER] = 0.4
    decay: Annotated[float, Field(ge=0, lt=1, description="of the mean answer"), NUMBER] = 0.9


class EATA(ETA):
    """ETA with a pull of γ and β to the source, by their Fisher information on in-distribution images."""

    kind: Literal["eata"] = "eata"  # type: ignore[assignment]
    fisher_weight: Annotated[float, Field(ge=0, le=1e9, description="w"), NUMBER] = 1.0
    fisher_images: Annotated[int, Field(ge=1, le=10**6, description="taken for the information"), NUMBER] = 2000


class SAR(_LayerMethod):
    """Sharpness-aware entropy minimisation on reliable examples, taken back when the entropy collapses."""

    kind: Literal["sar"] = "sar"
    optimizer: Optimizer = SGD()
    entropy_share: Annotated[float, Field(gt=0, le=1, description="of ln K, for K classes"), NUMBER] = 0.4
    rho: Annotated[float, Field(gt=0, le=10, description="radius of the perturbation"), NUMBER] = 0.05
    reset_below: Annotated[float, Field(ge=0, le=100, description="mean entropy at which to reset"), NUMBER] = 0.2
    decay: Annotated[float, Field(ge=0, lt=1, description="of the mean entropy"), NUMBER] = 0.9


class LAME(_Method):
    """Correct the answers of a batch so that neighbours in feature space agree; no weight changes."""

    kind: Literal["lame"] = "lame"
    neighbours: Annotated[int, Field(ge=2, le=1000, description="that set the bandwidth, k, oneself first"), NUMBER] = 5
    iterations: Annotated[int, Field(ge=1, le=10_000, description="at most"), NUMBER] = 100


Method = Annotated[
    IEW | PredictionTimeBN | BNAlpha | Tent | ETA | EATA | SAR | LAME,
    Field(discriminator="kind"),
]

#: Each method by its name, with the settings that it has where none are given.
METHODS: Mapping[str, Method] = {
    method.kind: method
    for method in (IEW(), PredictionTimeBN(), BNAlpha(prior=16.0), Tent(), ETA(), EATA(), SAR(), LAME())
}


#: The class of each kind of method.
METHOD_KINDS: Mapping[str, type[BaseModel]] = {
    method.model_fields["kind"].default: method for method in get_args(get_args(Method)[0])
}


class CollapseRule(Value):
    """When answers count as collapsed: one class takes too many of them, they are sure, and the source's differ.

    Answers are averaged over the last ``memory`` images or so, and begin as uniform. With K classes, one is suspect
    that takes more than 1/K + ``share``·(1 − 1/K) of them, while their mean entropy is below ``entropy_share``·ln K.
    Then the source network answers the same images too, ``checked`` at least, and decides: the answers have collapsed
    if they name the class too often on these as well, and the source names it less than ``source_share`` times as
    often, or they have less than ``source_entropy`` times its entropy. Else the stream holds the class: where examples
    come sorted by class, every network says one.
    """

    memory: Annotated[int, Field(ge=1, le=10**6, description="images"), NUMBER] = 200
    share: Annotated[float, Field(gt=0, lt=1, description="0: uniform answers, 1: one class"), NUMBER] = 0.3
    entropy_share: Annotated[float, Field(gt=0, le=1, description="of ln K, for K classes"), NUMBER] = 0.1
    checked: Annotated[int, Field(ge=1, le=10**6, description="images"), NUMBER] = 50
    source_share: Annotated[float, Field(gt=0, le=1, description="of the adapted network's answers"), NUMBER] = 0.5
    source_entropy: Annotated[float, Field(ge=0, le=1, description="of the source's entropy"), NUMBER] = 0.2
