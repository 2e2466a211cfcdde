"""Methods that change what the layers normalise by, and learn nothing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.steps.adaptation_methods.base import LayerMethod, Share
from calibrate.steps.step import Alpha
from calibrate.values import NUMBER


class IEW(LayerMethod):
    """Weigh each example in its own statistics by a given α (IEW).

    Weigh each example in its own statistics by α: stateless, the baseline that any adapter has to beat.

    With m, v the mean and biased variance of the example's channel over its positions, and rm, rv the running ones::

        μ  = (1 − α)·rm + α·m
        σ² = (1 − α)·rv + α·v + α(1 − α)(m − rm)²
        y  = γ(x − μ)/√(σ² + eps) + β

    *Changes nothing when* ``alpha`` is 0.

    *Helps when* the stream is of any kind: a prediction depends on its own example alone, so order, batch size and
    mixture do not matter. It is the baseline that any adapter has to beat.

    *Does not help when* the shift is strong and the same for many: a batch then knows more of it than one image.

    Cost: one forward pass; two reductions and a pass over the maps for each layer.

    Limits: ``alpha`` is given and not learned; search_alpha chooses it on labelled data. Deploys as weights.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1
    """

    kind: Literal["iew"] = "iew"
    alpha: Alpha = 0.05


class PredictionTimeBN(LayerMethod):
    """Normalise each batch by its own statistics (prediction-time BN).

    Normalise by the batch's own statistics.

    With m, v the mean and biased variance of the batch's channel, and rm, rv the running ones::

        y = γ(x − m)/√(v + eps) + β

    *Changes nothing when* the batch's statistics are the running ones.

    *Helps when* the shift is strong, the stream shuffled, and batches hold some dozens of images.

    *Does not help when* the stream is sorted by class, mixes domains, or comes in batches of a few images; or the
    shift is mild: at batch 200 it took ResNet-20 on JPEG images of CIFAR-10 from 81.0 to 79.0 %.

    Cost: one forward pass.

    Limits: a prediction depends on the images beside it. Nothing is learned, so it needs code at run time; for fixed
    statistics of such data take the step reestimate.

    Reference: Nado, Padhy, Sculley, D'Amour, Lakshminarayanan and Snoek, Evaluating Prediction-Time Batch
    Normalization for Robustness under Covariate Shift, 2020, §2
    """

    kind: Literal["prediction_time_bn"] = "prediction_time_bn"


class BNAlpha(LayerMethod):
    """Mix each batch's statistics into the running ones (BN-α).

    Mix the batch's statistics into the source's, which weigh ``source_weight``, or prior/(prior + batch size).

    With m, v the mean and biased variance of the batch's channel, rm, rv the running ones, n images in the batch, and
    λ = ``prior``/(``prior`` + n) or the ``source_weight``::

        μ  = λ·rm + (1 − λ)·m
        σ² = λ·rv + (1 − λ)·v + λ(1 − λ)(rm − m)²   (``variant`` moments)
        σ² = λ·rv + (1 − λ)·v′, v′ unbiased         (``variant`` published)
        y  = γ(x − μ)/√(σ² + eps) + β

    *Changes nothing when* ``source_weight`` is 1; or the batch's statistics are the running ones.

    *Helps when* the shift is strong and batches are small: the running statistics steady the batch's. For single
    images a ``source_weight`` of 0.9 was published.

    *Does not help when* the stream is sorted by class or mixes domains, though it then fails less than
    prediction-time BN does.

    Cost: one forward pass.

    Limits: no single ``prior`` suits all: the paper's best depends on network and batch. Nothing is learned, so it
    needs code at run time.

    Reference: Schneider, Rusak, Eck, Bringmann, Brendel and Bethge, Improving robustness against common corruptions
    by covariate shift adaptation, NeurIPS 2020, Eq. 3; You, Li and Zhao, Test-time Batch Statistics Calibration for
    Covariate Shift, 2021, §3 (fixed weights)
    """

    kind: Literal["bn_alpha"] = "bn_alpha"
    prior: Annotated[float, Field(ge=0, le=1e9, description="weight of the source, in images"), NUMBER] | None = None
    source_weight: Share | None = None
    variant: Annotated[Literal["moments", "published"], Field(description="how the variances are mixed")] = "moments"

    @model_validator(mode="after")
    def _one_weight(self) -> Self:
        if (self.prior is None) == (self.source_weight is None):
            raise ValueError("the source has one weight; give either prior or source_weight")
        return self
