"""The fine-tuning: how a trained network goes on training, as one closed value. No job trains."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from calibrate.recipe.canonical_json import canonical, digest
from calibrate.recipe.placement import PlacementStep
from calibrate.values import NUMBER, Value

Count = Annotated[int, Field(ge=1, le=10**6), NUMBER]
Strength = Annotated[float, Field(ge=0, le=1e6), NUMBER]
Rate = Annotated[float, Field(gt=0, le=10, description="learning rate of the backbone, at its highest"), NUMBER]
Names = Annotated[tuple[str, ...], Field(min_length=1, description="of modules")]


class L2SPOptions(Value):
    """Penalize weights for leaving their start, and the head's for leaving 0 (L2-SP).

    Penalize the backbone's weights for leaving their start, and the head's for leaving 0.

    With w all parameters, γ and β among them, w₀ their values at the start, a = ``backbone_strength`` and b =
    ``head_strength``, added to the loss of each batch::

        a/2·Σ_backbone ‖w − w₀‖² + b/2·Σ_head ‖w‖²

    *Changes nothing when* both strengths are 0.

    *Helps when* data are few and like those that the network was trained on: it must not forget.

    *Does not help when* the target is unlike the source. In the StochNorm paper it was behind plain fine-tuning with
    15 and 30 % of each of three data sets, by up to 2 points, and together with StochNorm ahead of it.

    Cost: a copy of the parameters and a pass over them for each batch; nothing in inference.

    Limits: takes the place of weight decay, which is then 0. The strengths are the paper's; they depend on the rate
    and the number of steps.

    Reference: Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks,
    ICML 2018, §3
    """

    kind: Literal["l2_sp"] = "l2_sp"
    backbone_strength: Strength = 0.01
    head_strength: Strength = 0.01


class DeltaOptions(Value):
    """Penalize feature maps for leaving the source network's, channel by channel (DELTA).

    Pull the feature maps that the modules called ``layers`` put out to those of the original network.

    With ``attention`` a channel weighs the more, the more the loss grew when its filter was set to 0; measured on
    ``attention_examples`` of the training examples before the training.

    With F, F₀ the maps (N, C, H, W) that ``layers`` put out, here and in the original network, and a the
    ``attention``, a softmax over C channels of the standard score, over 5, of the loss that a channel's filter of
    zeros adds on ``attention_examples``, added to the loss of each batch::

        ``strength``/2·Σ_{layers, examples, c} C·a_c/(H·W)·‖F_c − F₀_c‖²
        ``strength``/2·Σ ‖F − F₀‖²   (without attention)

    *Changes nothing when* ``strength`` is 0.

    *Helps when* data are few, and what the source's layers see is worth keeping though their weights may move.

    *Does not help when* the classes need features that the source has not.

    Cost: a forward pass of the source for each batch; for the attention a forward pass over its examples for each
    channel, once; nothing in inference.

    Limits: the sum is over the batch, so its weight grows with the batch size. For classifiers of one label: no
    detection heads, and no multi-label data, whose measure is AUC.

    Reference: Li, Xiong, Wang, Rao, Liu and Huan, DELTA: Deep Learning Transfer using Feature Map with Attention for
    Convolutional Networks, ICLR 2019, §3; the weights C·a/(H·W) and the 5 are the authors' code's
    """

    kind: Literal["delta"] = "delta"
    layers: Names
    strength: Strength = 0.01
    attention: bool = True
    attention_examples: Count = 256


class BSSOptions(Value):
    """Shrink the weakest directions of a batch's features (BSS).

    Shrink the ``k`` smallest singular values of a batch's features before the head.

    With σ₁ ≤ σ₂ ≤ … the singular values of what the head is given, one row an example, added to the loss of each
    batch::

        ``strength``·Σ_{i ≤ k} σᵢ²   (``k`` of them)

    *Changes nothing when* ``strength`` is 0.

    *Helps when* data are few: features that vary little transfer worst, and are suppressed.

    *Does not help when* data are plenty; on X-rays it was behind plain fine-tuning in the StochNorm paper.

    Cost: a singular value decomposition of batch size × features for each batch; nothing in inference.

    Limits: batches much smaller than the features have no weak directions to speak of. For classifiers of one label:
    no detection heads, and no multi-label data, whose measure is AUC.

    Reference: Chen, Wang, Fu, Long and Wang, Catastrophic Forgetting Meets Negative Transfer: Batch Spectral
    Shrinkage for Safe Transfer Learning, NeurIPS 2019
    """

    kind: Literal["bss"] = "bss"
    k: Count = 1
    strength: Strength = 1e-3


Penalty = Annotated[L2SPOptions | DeltaOptions | BSSOptions, Field(discriminator="kind")]


class SGDOptions(Value):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.9
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_of_a_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov looks ahead along the momentum, which is 0; give a momentum, or leave it out")
        return self


class AdamOptions(Value):
    """Adam with torch's defaults."""

    kind: Literal["adam"] = "adam"


class Groups(Value):
    """Let γ and the head learn at rates of their own, and decay weights alone.

    What learns how fast, and what decays, each told by the type of its module.

    With lr the rate of the phase, c = ``gamma_lr_divisor`` and h = ``head_lr_factor``, parameters told by the type of
    their module::

        lr_γ = lr/c,  lr_head = h·lr,  lr_gate = 10·lr (BatchInstanceNorm),  decay of γ, β, biases = 0

    *Changes nothing when* c = h = 1, ``weight_decay`` is 0, and no layer has gates.

    *Helps when* a fresh head must catch up (h = 10); or γ, started small by the placement step initialise, should
    hold (c = 100), which is for training from scratch.

    *Does not help when* the head is kept, or γ has to move far.

    Cost: none.

    Limits: ``decay_norm`` and ``decay_bias`` bring decay back. LayerNorm, PReLU and others with one value for each
    channel count as weights: selection by shape and name, as published, takes them for γ.

    Reference: Davis and Frank, Revisiting Batch Normalization, 2021, §3.2; Kou, You, Long and Wang, Stochastic
    Normalization, NeurIPS 2020, §5.1 (head)
    """

    head_lr_factor: Annotated[float, Field(gt=0, le=1e4), NUMBER] = 10.0
    gamma_lr_divisor: Annotated[float, Field(gt=0, le=1e6, description="γ learn at lr / this"), NUMBER] = 1.0
    weight_decay: Strength = 5e-4
    decay_norm: Annotated[bool, Field(description="whether γ and β decay as weights do")] = False
    decay_bias: Annotated[bool, Field(description="whether other biases do")] = False


class AffineDecayOptions(Value):
    """Decay γ and β alone.

    Add ``strength``/2 · (‖β‖² + ‖γ − gamma_toward‖²) to the loss.

    With λ = ``strength``, t = ``gamma_toward``, and γ, β those of batch and group normalisation layers, added to the
    loss of each batch::

        λ/2·‖β‖² + λ/2·‖γ − t‖²

    *Changes nothing when* ``strength`` is 0.

    *Helps when* the network is residual.

    *Does not help when* the network is like Inception, which it made worse.

    Cost: a pass over γ and β for each batch; nothing in inference.

    Limits: beside it the optimiser's own decay of γ and β stays off.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.3
    """

    strength: Strength
    gamma_toward: Literal[0, 1] = 0


class Norms(Value):
    """The three switches of BatchNorm: whether γ and β learn, whether statistics are updated, which normalise."""

    affine: bool = True
    statistics: bool = True
    normalise: Literal["batch", "running"] = "batch"


class Phase(Value):
    """Freeze a part of the network for a phase, BatchNorm by three switches.

    Epochs in which the same parameters learn; the optimiser and its schedule start anew.

    In a phase of ``epochs`` at the rate ``lr``, ``trainable`` says which parameters learn, and ``norms``, for the
    normalisation layers outside the head, the three switches of BatchNorm::

        affine: whether γ and β learn
        statistics: whether running statistics are updated
        normalise: by the batch or by the running statistics

    *Changes nothing when* all learn, and the switches are as they start.

    *Helps when* a fresh head would disturb a trained backbone (head first, then all), or batches are too small for
    statistics of their own.

    *Does not help when* the data are unlike the source's: frozen statistics then do not fit them.

    Cost: less than training all; nothing in inference.

    Limits: a variant of BatchNorm loses its own way of training for a phase that freezes its statistics. There is no
    group whitening here, neither to train nor to freeze.

    Reference: Adrian G, Batch Norm and Transfer Learning, 2019: 5 epochs of all; 3 of the head, or of it and the
    normalisation layers, then 5 of all
    """

    epochs: Count = 5
    lr: Rate = 1e-2
    trainable: Literal["all", "head", "head_and_norms"] = "all"
    norms: Norms = Norms()


_FROZEN = Norms(affine=False, statistics=False, normalise="running")

#: The phases of the transfer-learning post, by name. Its network without BatchNorm was another network; here, in
#: ``all_with_frozen_norms``, BatchNorm is the constant affine of inference.
ARMS: Mapping[str, tuple[Phase, ...]] = {
    "all": (Phase(),),
    "all_with_frozen_norms": (Phase(norms=_FROZEN),),
    "head_then_all": (Phase(epochs=3, trainable="head", norms=_FROZEN), Phase(lr=3e-3)),
    "head_and_norms_then_all": (Phase(epochs=3, trainable="head_and_norms"), Phase(lr=3e-3)),
}

#: How a document gives phases: by a name of ``ARMS``, or written out.
_Given = (
    Annotated[str, Field(json_schema_extra={"enum": list(ARMS)})]
    | Annotated[tuple[Phase, ...], Field(json_schema_extra={"minItems": 1})]
)


class FineTuning(Value):
    """How a trained network goes on training on labelled data.

    Of the classes' examples in the data, ``fraction`` is drawn, and of these ``validation`` is kept aside to choose the
    epoch on: the one with the best top-1, then the lowest NLL. ``layers`` are placed before the training. The seed
    decides the draws, the fresh head, the order, and all that is random in layers.

    >>> FineTuning(phases=[{"epochs": 3, "trainable": "head"}, {"epochs": 5, "lr": 3e-3}]).epochs
    8
    >>> FineTuning(phases="head_then_all").phases == ARMS["head_then_all"]
    True
    """

    version: Annotated[Literal[1], NUMBER] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32), NUMBER] = 0
    classes: Annotated[
        tuple[Annotated[str, Field(coerce_numbers_to_str=True)], ...] | None,
        Field(description="of the data, to learn with a fresh head; else all"),
    ] = None
    head: Annotated[
        Literal["auto", "fresh"], Field(description="auto: fresh where the classes are not the network's")
    ] = "auto"
    fraction: Annotated[float, Field(gt=0, le=1, description="of each class's examples"), NUMBER] = 1.0
    validation: Annotated[float, Field(ge=0, lt=1, description="kept aside; 0: keep the last epoch"), NUMBER] = 0.1
    layers: tuple[PlacementStep, ...] = ()
    phases: Annotated[tuple[Phase, ...], Field(description="one after the other, or by name")] = (Phase(),)
    schedule: Literal["one_cycle", "cosine", "step", "constant"] = "one_cycle"
    optimizer: Annotated[SGDOptions | AdamOptions, Field(discriminator="kind")] = SGDOptions()
    groups: Groups = Groups()
    affine_decay: AffineDecayOptions | None = None
    penalties: tuple[Penalty, ...] = ()
    batch_size: Annotated[int, Field(ge=2, le=10**6), NUMBER] = 32
    label_smoothing: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    mixup: Annotated[float, Field(ge=0, le=100, description="α of mixup's Beta(α, α); 0: none"), NUMBER] = 0.0
    patience: Annotated[Count | None, Field(description="epochs of a phase without a better one that end it")] = None
    amp: Annotated[Literal["off", "bf16"], Field(description="bf16: autocast the forward pass")] = "off"
    augmentation: Annotated[
        Literal["none", "flip_crop"],
        Field(description="of images; flip_crop: mirrored or not, and shifted by up to 1/8 over black"),
    ] = "none"
    histograms: Annotated[
        Literal["none", "epoch", "step"], Field(description="of each layer's weights, after each of these")
    ] = "none"

    @field_validator("phases", mode="before", json_schema_input_type=_Given)
    @classmethod
    def _by_name(cls, phases: Any) -> Any:
        """The phases that a name stands for, so that the digest is that of the phases written out."""
        if not isinstance(phases, str):
            return phases
        if phases not in ARMS:
            raise ValueError(f"{phases!r} names no phases; write them out, or name one of {', '.join(ARMS)}")
        return ARMS[phases]

    @field_validator("phases")
    @classmethod
    def _some(cls, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
        """Not by the field's length, which pydantic reports beside every broken phase."""
        if not phases:
            raise ValueError("phases is empty; name at least one phase")
        return phases

    @field_validator("classes")
    @classmethod
    def _several(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and (len(classes) < 2 or len(set(classes)) < len(classes)):
            raise ValueError("classes must be two or more, each named once; name them, or leave it out for all")
        return classes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kinds = [penalty.kind for penalty in self.penalties]
        if len(set(kinds)) < len(kinds):
            raise ValueError("penalties name one kind twice; keep one of each")
        if "l2_sp" in kinds and self.groups.weight_decay:
            raise ValueError(
                "l2_sp pulls weights to where they started while groups.weight_decay, which is "
                f"{self.groups.weight_decay:g}, pulls them to 0; set weight_decay: 0 in groups"
            )
        if self.patience is not None and not self.validation:
            raise ValueError("patience waits for a better epoch on the validation split, and validation is 0; set it")
        return self

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def canonical(self) -> str:
        """Canonical JSON without defaulted fields, as a recipe's."""
        return canonical(self)

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`canonical`, in hexadecimal."""
        return digest(self)


#: The values whose docstrings are the cards of what a fine-tuning can be made of, by the names that methods have.
FINE_TUNING_KINDS: Mapping[str, type[Value]] = {
    "l2_sp": L2SPOptions,
    "delta": DeltaOptions,
    "bss": BSSOptions,
    "affine_decay": AffineDecayOptions,
    "groups": Groups,
    "freezing": Phase,
}
