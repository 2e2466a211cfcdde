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
    """Pull the backbone's weights to where they started, and the head's to 0."""

    kind: Literal["l2_sp"] = "l2_sp"
    backbone_strength: Strength = 0.01
    head_strength: Strength = 0.01


class DeltaOptions(Value):
    """Pull the feature maps that the modules called ``layers`` put out to those of the network as it came.

    With ``attention`` a channel weighs the more, the more the loss grew when its filter was set to 0; measured on
    ``attention_examples`` of the training examples before the training.
    """

    kind: Literal["delta"] = "delta"
    layers: Names
    strength: Strength = 0.01
    attention: bool = True
    attention_examples: Count = 256


class BSSOptions(Value):
    """Shrink the ``k`` smallest singular values of a batch's features before the head."""

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
    """What learns how fast, and what decays, each told by the type of its module."""

    head_lr_factor: Annotated[float, Field(gt=0, le=1e4), NUMBER] = 10.0
    gamma_lr_divisor: Annotated[float, Field(gt=0, le=1e6, description="γ learn at lr / this"), NUMBER] = 1.0
    weight_decay: Strength = 5e-4
    decay_norm: Annotated[bool, Field(description="whether γ and β decay as weights do")] = False
    decay_bias: Annotated[bool, Field(description="whether other biases do")] = False


class AffineDecayOptions(Value):
    """Add ``strength``/2 · (‖β‖² + ‖γ − gamma_toward‖²) to the loss."""

    strength: Strength
    gamma_toward: Literal[0, 1] = 0


class Norms(Value):
    """The three switches of BatchNorm: whether γ and β learn, whether statistics are updated, which normalise."""

    affine: bool = True
    statistics: bool = True
    normalise: Literal["batch", "running"] = "batch"


class Phase(Value):
    """Epochs in which the same parameters learn; the optimiser and its schedule start anew."""

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
