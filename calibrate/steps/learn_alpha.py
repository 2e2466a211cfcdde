"""The step ``learn_alpha``: an α for each layer, or each channel, learned by gradient."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.learning import Learned, Learning
from calibrate.values import NUMBER


class LearnedAlpha(Learned):
    """The α's that were learned."""

    subject = "α"

    kind: Literal["learn_alpha"] = "learn_alpha"


class LearnAlpha(Learning):
    """Learn an α for each layer, or for each channel.

    Learn an α for each matching site, or each of its channels, on the labels of the calibration half.

    It sets out from the α that the sites have, so a search for one α goes before it. The epoch whose cross-entropy on
    the quarter held back is lowest, each after its own best temperature, must beat the start by more than ``margin``
    paired standard errors, else the start stays.

    With logits(α) as in set_alpha, an own θ for each layer or channel (``per``), θ₀ the start (the α that the layers
    have, taken to [0.01, 0.99]), and T₀ the best temperature at the start::

        α = sigmoid(θ)
        θ by Adam down the mean of −log softmax(logits(α)/T₀)[label] + ``pull``·mean (θ − θ₀)²

    *Changes nothing when* no epoch beats the start by more than ``margin`` standard errors: it then stays, as it was.

    *Helps when* layers differ in how far the data have shifted, and one α for all, found by search_alpha just before,
    already helps.

    *Does not help when* labels are few: an α for each channel then fits their noise; tune_affine does more with them.

    Cost: an epoch, three passes over three quarters of the calibration half and one over the quarter held back: 25
    passes with 10 epochs, the most there are by default; in inference that of set_alpha.

    Limits: needs labels. It learns from three quarters of the calibration half and is judged on the quarter held
    back, on which T is then fitted too; the gain there is the best of several epochs, so believe the holdout half.
    GroupNorm layers have one α for each layer only. A network with α > 0 folds only a part of its normalisation into
    the convolutions.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1
    (one α for all); Kingma and Ba, Adam, ICLR 2015
    """

    tunes = True
    weighs_examples = True
    result = LearnedAlpha

    kind: Literal["learn_alpha"] = "learn_alpha"
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam, on logit α"), NUMBER] = 0.1
    pull: Annotated[
        float, Field(ge=0, le=1e9, description="weight of the mean squared distance of logit α from its start"), NUMBER
    ] = 0.01
    per: Annotated[Literal["layer", "channel"], Field(description="what has an α of its own")] = "layer"
