"""The placement: which layers of a network become what before it trains. For Python only: no job trains."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from calibrate.steps import Sites
from calibrate.values import NUMBER, Value

Count = Annotated[int, Field(ge=1), NUMBER]
Every = Annotated[int, Field(ge=1, description="in every k-th residual block, counted from 1"), NUMBER]


class _Layer(Value):
    layer: Annotated[str, Field(description="a layer that `afternorm methods` lists")]
    settings: Annotated[
        dict[str, bool | int | float | str], Field(description="of the layer, as its card has them")
    ] = {}  # noqa: RUF012 (pydantic copies it)


class Place(_Layer):
    """Put a layer in the place of the BatchNorm layers whose names match."""

    kind: Literal["place"] = "place"
    sites: Sites = ("*",)


class PlaceInBlocks(_Layer):
    """Put a layer at one position of each residual block."""

    kind: Literal["place_in_blocks"] = "place_in_blocks"
    position: Literal["first", "second", "third", "last"]
    every: Every = 1


class PlaceEveryOdd(_Layer):
    """Put a layer in the place of the first, third, fifth, … BatchNorm layer."""

    kind: Literal["place_every_odd"] = "place_every_odd"


class PlaceInStem(_Layer):
    """Put a layer in the place of the BatchNorm layers before the first residual block."""

    kind: Literal["place_in_stem"] = "place_in_stem"


class XBN(Value):
    """XBNBlock: one layer of every k-th residual block, and the stem's, normalise without the batch."""

    kind: Literal["xbn"] = "xbn"
    position: Literal["P1", "P2", "P3"] = "P2"
    every: Every = 1
    layer: Literal["GroupNorm", "InstanceNorm"] = "GroupNorm"
    num_groups: Count = 64
    with_stem: bool = True


class GNBN(Value):
    """GNBN: every odd BatchNorm layer becomes GroupNorm."""

    kind: Literal["gnbn"] = "gnbn"
    num_groups: Count = 4


class IBNa(Value):
    """IBN-a: the first layer of each residual block of the first three stages becomes half instance normalisation."""

    kind: Literal["ibn_a"] = "ibn_a"


class IBNb(Value):
    """IBN-b: instance normalisation in the stem, and after the last addition of the first two stages."""

    kind: Literal["ibn_b"] = "ibn_b"


class FourThings(Value):
    """The layer for a batch size: GroupNorm for 1, BatchGroupNorm for very small ones, GhostBatchNorm from 8 on."""

    kind: Literal["four_things"] = "four_things"
    batch_size: Count
    ghost_size: Count = 16
    num_groups: Count = 32


class Initialize(Value):
    """Draw fresh weights by fan-in, from torch's generator, and start every γ at ``gamma``."""

    kind: Literal["initialise"] = "initialise"
    gamma: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.1


class PrependInputBatchNorm(Value):
    """Let the network normalise its input of ``num_features`` channels, where its own γ start at ``scale``."""

    kind: Literal["prepend_input_batch_norm"] = "prepend_input_batch_norm"
    num_features: Count
    scale: Annotated[float, Field(gt=0), NUMBER] = 1.0


PlacementStep = Annotated[
    Place
    | PlaceInBlocks
    | PlaceEveryOdd
    | PlaceInStem
    | XBN
    | GNBN
    | IBNa
    | IBNb
    | FourThings
    | Initialize
    | PrependInputBatchNorm,
    Field(discriminator="kind"),
]


class Placement(Value):
    """An ordered list of what is placed where; ``surgery.carry_out_placement`` carries it out.

    >>> Placement(steps=[{"kind": "place_in_stem", "layer": "StochNorm"}, {"kind": "xbn", "with_stem": False}]).version
    1
    """

    version: Annotated[Literal[1], NUMBER] = 1
    steps: Annotated[tuple[PlacementStep, ...], Field(json_schema_extra={"minItems": 1})]

    @field_validator("steps")
    @classmethod
    def _some(cls, steps: tuple[PlacementStep, ...]) -> tuple[PlacementStep, ...]:
        """Not by the field's length, which pydantic reports beside every broken step."""
        if not steps:
            raise ValueError("steps is empty; name at least one step")
        return steps
