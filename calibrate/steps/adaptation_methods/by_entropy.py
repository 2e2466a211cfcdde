"""Methods that learn γ and β by the entropy of the predictions."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.adaptation_methods.base import SGD, Adam, LayerMethod, Optimizer
from calibrate.values import NUMBER


class Tent(LayerMethod):
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


class ETA(LayerMethod):
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


class SAR(LayerMethod):
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
