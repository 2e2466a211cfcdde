"""Test-time adaptation methods as values, tagged by ``kind``, with every setting; a docstring is the method's card."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from calibrate.steps.step import Alpha, Described, Sites
from calibrate.values import NUMBER, Value

Share = Annotated[float, Field(ge=0, le=1), NUMBER]


Rate = Annotated[float, Field(gt=0, le=10, description="learning rate"), NUMBER]


class _Method(Described):
    pass


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


class PredictionTimeBN(_LayerMethod):
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


class BNAlpha(_LayerMethod):
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


class Tent(_LayerMethod):
    """Follow the entropy of the predictions down, over γ and β (Tent).

    Minimise the entropy of the predictions over γ and β, normalising by the batch; they are made before the step.

    With H(p) = −Σ p log p of the predictions p = softmax(logits), the layers normalising by the batch, and a step of
    the ``optimizer`` for each batch, or ``steps``::

        γ, β ← step down the gradient of mean H(p);  predictions are those before the step

    *Changes nothing when* never: before the first step it is prediction-time BN.

    *Helps when* the shift is strong, the stream shuffled and of one domain, and batches hold 64 images or more.

    *Does not help when* the stream is sorted by class, mixes domains, or comes in batches of a few images: in SAR's
    experiments 18.0 % became 2.1 %.

    Cost: a forward and a backward pass, for each of ``steps``.

    Limits: entropy is lowest where one class is always predicted, so it can collapse. The published settings: Adam
    at 0.001 with batches of 200 (CIFAR), SGD at 0.00025 with 64 (ImageNet). What is learned can be stored once
    running statistics have been re-estimated to fit it.

    Reference: Wang, Shelhamer, Liu, Olshausen and Darrell, Tent: Fully Test-Time Adaptation by Entropy Minimization,
    ICLR 2021, §3
    """

    kind: Literal["tent"] = "tent"
    optimizer: Optimizer = Adam()
    steps: Annotated[int, Field(ge=1, le=100, description="steps for each batch"), NUMBER] = 1


class ETA(_LayerMethod):
    """Tent on reliable predictions that are unlike those before (ETA).

    Tent on reliable, non-redundant examples: entropy below ``entropy_share``·ln K, |cos| to the mean prediction < d.

    With H the entropy of a prediction p over K classes, E₀ = ``entropy_share``·ln K, and p̄ the mean prediction kept so
    far (``decay``), over the examples with H < E₀ and |cos(p̄, p)| < ``redundancy``::

        γ, β ← step down the gradient of the mean of exp(E₀ − H)·H

    *Changes nothing when* never: where no example is kept, it is prediction-time BN.

    *Helps when* as Tent, and the uncertain predictions there are mislead it.

    *Does not help when* the stream is sorted by class, mixes domains, or comes in batches of a few images: in SAR's
    experiments EATA made 0.9 % of 18.0 %.

    Cost: a forward pass, and a backward pass where an example is kept.

    Limits: a uniform p̄ has |cos| ≥ 1/√K with every prediction, so a ``redundancy`` below 1/√K keeps nothing: the
    published 0.05 is for 1,000 classes, 0.4 for 10. What is learned can be stored once running statistics have been
    re-estimated to fit it.

    Reference: Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022, §3.1
    """

    kind: Literal["eta"] = "eta"
    optimizer: Optimizer = SGD()
    entropy_share: Annotated[float, Field(gt=0, le=1, description="of ln K, for K classes"), NUMBER] = 0.4
    redundancy: Annotated[float, Field(gt=0, le=1, description="largest |cos| kept, d"), NUMBER] = 0.4
    decay: Annotated[float, Field(ge=0, lt=1, description="of the mean prediction"), NUMBER] = 0.9


class EATA(ETA):
    """ETA, held near the source where its predictions depend on it (EATA).

    ETA with an L2 penalty of γ and β toward the source, by their Fisher information on in-distribution images.

    With ETA's loss, θ all γ and β, θ₀ those of the source, and F the squared gradient of the cross-entropy with the
    source's own predictions, on ``fisher_images`` in-distribution images::

        γ, β ← step down the gradient of ETA's loss + ``fisher_weight``·Σ F(θ − θ₀)²

    *Changes nothing when* never: where no example is kept, it is prediction-time BN.

    *Helps when* as ETA, and the network must not forget what it was trained on.

    *Does not help when* the stream is sorted by class, mixes domains, or comes in batches of a few images.

    Cost: ETA's; and before the stream a forward and a backward pass over ``fisher_images`` images.

    Limits: needs images like those that the network was trained on, without labels. The published ``fisher_weight``
    is 2000 for ImageNet, 1 for CIFAR-10; F depends on the batch size. What is learned can be stored once running
    statistics have been re-estimated to fit it.

    Reference: Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022, §3.2
    """

    kind: Literal["eata"] = "eata"  # type: ignore[assignment]
    fisher_weight: Annotated[float, Field(ge=0, le=1e9, description="w"), NUMBER] = 1.0
    fisher_images: Annotated[int, Field(ge=1, le=10**6, description="taken for the information"), NUMBER] = 2000


class SAR(_LayerMethod):
    """Sharpness-aware entropy minimisation with recovery (SAR).

    Sharpness-aware entropy minimisation on reliable examples, taken back when the entropy collapses.

    With g the gradient of the mean entropy of the predictions with H < E₀ = ``entropy_share``·ln K, over all γ and β as
    one vector θ, and ρ = ``rho``::

        θ ← step down the gradient, taken at θ + ρ·g/‖g‖, of the mean entropy of those with H < E₀ there too

    *Changes nothing when* never: where no example is kept, it is prediction-time BN.

    *Helps when* the stream is as for Tent, but harder, so that Tent drifts.

    *Does not help when* batches are small or sorted by class and the layers are BatchNorm: the paper's remedy there
    is GroupNorm or LayerNorm.

    Cost: up to two forward and two backward passes.

    Limits: goes back to the source where the running mean entropy (``decay``) falls below ``reset_below``: 0.2 is for
    1,000 classes, and with few classes sound predictions fall below it. The layers that the authors leave out, the last
    ones, are left out by ``sites``. What is learned can be stored once running statistics have been re-estimated to
    fit it.

    Reference: Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023, §4
    """

    kind: Literal["sar"] = "sar"
    optimizer: Optimizer = SGD()
    entropy_share: Annotated[float, Field(gt=0, le=1, description="of ln K, for K classes"), NUMBER] = 0.4
    rho: Annotated[float, Field(gt=0, le=10, description="radius of the perturbation"), NUMBER] = 0.05
    reset_below: Annotated[float, Field(ge=0, le=100, description="mean entropy at which to reset"), NUMBER] = 0.2
    decay: Annotated[float, Field(ge=0, lt=1, description="of the mean entropy"), NUMBER] = 0.9


class LAME(_Method):
    """Let neighbours in feature space agree on their predictions (LAME).

    Correct the predictions of a batch so that neighbours in feature space agree; no weight changes.

    With pᵢ the predictions of a batch, fᵢ what the final linear layer is given over its norm, σ the mean distance to
    the k-th nearest, k = ``neighbours``, and wᵢⱼ = exp(−‖fᵢ − fⱼ‖²/2σ²), from zᵢ = pᵢ until it converges,
    ``iterations`` times at most::

        zᵢ ← softmax(log pᵢ + Σⱼ wᵢⱼ zⱼ)

    *Changes nothing when* the batch is a single image.

    *Helps when* images of one class come together, as in video: neighbours in a batch are then of one class.

    *Does not help when* the stream is shuffled: the agreement is then among images of different classes, and accuracy
    falls.

    Cost: one forward pass and O(n²) operations for n images in the batch.

    Limits: changes no layer and learns nothing, so it needs code at run time; needs a network whose logits come out
    of one linear layer.

    Reference: Boudiaf et al., Parameter-free Online Test-time Adaptation, CVPR 2022, §4
    """

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
