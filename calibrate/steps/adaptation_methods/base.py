"""What the methods share: which layers, optimizers, and when their predictions count as collapsed."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.step import Described, Sites
from calibrate.values import NUMBER, Value

Share = Annotated[float, Field(ge=0, le=1), NUMBER]


Rate = Annotated[float, Field(gt=0, le=10, description="learning rate"), NUMBER]


class AdaptationMethod(Described):
    """A method with its settings."""


class LayerMethod(AdaptationMethod):
    """A method at work on the layers that ``sites`` names."""

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


class CollapseRule(Value):
    """When predictions count as collapsed: one class takes too many of them, they are sure, and the source's differ.

    Predictions are averaged over the last ``memory`` images or so, and begin as uniform. With K classes, one is suspect
    that takes more than 1/K + ``share``·(1 − 1/K) of them, while their mean entropy is below ``entropy_share``·ln K.
    Then the source network predicts the same images too, ``checked`` at least, and decides: the predictions have
    collapsed if they name the class too often on these as well, and the source names it less than ``source_share``
    times as often, or they have less than ``source_entropy`` times its entropy. Else the stream holds the class: where
    examples come sorted by class, every network predicts one.
    """

    memory: Annotated[int, Field(ge=1, le=10**6, description="images"), NUMBER] = 200
    share: Annotated[float, Field(gt=0, lt=1, description="0: uniform predictions, 1: one class"), NUMBER] = 0.3
    entropy_share: Annotated[float, Field(gt=0, le=1, description="of ln K, for K classes"), NUMBER] = 0.1
    checked: Annotated[int, Field(ge=1, le=10**6, description="images"), NUMBER] = 50
    source_share: Annotated[float, Field(gt=0, le=1, description="of the adapted network's predictions"), NUMBER] = 0.5
    source_entropy: Annotated[float, Field(ge=0, le=1, description="of the source's entropy"), NUMBER] = 0.2
