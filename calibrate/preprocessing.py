"""How examples become the input of a network: images by a preprocessing, arrays by a map. No torch here."""

import json
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from calibrate.values import NUMBER, Value

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Pixels = Annotated[int, Field(ge=1, le=4096), NUMBER]


class InputMap(Value):
    """What is done to arrays (C, *) before the network: ``x ← scale·x + shift``, channel by channel.

    Before that, in this order: ``channels_last`` moves the last dimension to the front, ``transposed`` exchanges the
    last two, ``reversed_channels`` reverses the first, and ``by_example`` brings each channel of each example to mean 0
    and variance 1. ``scale`` and ``shift`` have one value for all channels, or one for each.

    >>> InputMap(scale=(1 / 255,)).shift
    (0.0,)
    """

    model_config = ConfigDict(allow_inf_nan=False)

    #: No value of an array stands for 1.
    maximum: ClassVar[None] = None

    channels_last: bool = False
    transposed: bool = False
    reversed_channels: bool = False
    by_example: bool = False
    scale: Annotated[tuple[Annotated[float, NUMBER], ...], Field(min_length=1)] = (1.0,)
    shift: Annotated[tuple[Annotated[float, NUMBER], ...], Field(min_length=1)] = (0.0,)

    @property
    def turns(self) -> tuple[bool, bool, bool]:
        """Whether it reverses the channels, inverts the values, and exchanges rows and columns."""
        return self.reversed_channels, self.scale[0] < 0, self.transposed

    @property
    def sizes(self) -> tuple[float, ...]:
        """What values are multiplied by, whatever the sign: one factor for all channels, or one for each."""
        return tuple(map(abs, self.scale))

    def followed_by(self, scale: Sequence[float], shift: Sequence[float]) -> Self:
        """The map that does the same, and then ``x ← scale·x + shift`` (C,)."""
        owns, owned = (values * len(scale) if len(values) == 1 else values for values in (self.scale, self.shift))
        return self.model_copy(
            update={
                "scale": tuple(a * b for a, b in zip(scale, owns, strict=True)),
                "shift": tuple(a * b + c for a, b, c in zip(scale, owned, shift, strict=True)),
            }
        )

    @model_validator(mode="after")
    def _keeps_what_arrays_hold(self) -> Self:
        if 0 in self.scale:
            raise ValueError(f"scale is {self.scale}, and a scale of 0 makes one value of all; give another number")
        return self


class Preprocessing(Value):
    """Resize, centre-crop, scale to [0, 1], then ``(x - mean) / std`` per channel.

    ``resize`` is the length of the shorter side, ``crop`` the side of the central square (padded with black where the
    image is smaller); either may be left out. ``channels`` 1 reads images as grey, 3 as RGB. ``maximum`` is the pixel
    value that becomes 1; left out, the largest of the image's type, 255 or 65535. ``order`` bgr reverses the channels,
    and mean and std are in that order; ``inverted`` makes 1 - x of x; ``transposed`` exchanges rows and columns;
    ``by_example`` brings each channel of each image to mean 0 and variance 1 before mean and std.
    Arrays of floating point numbers are taken as they are: they are network input already, unless ``arrays`` says what
    is done to them.
    ``auto`` lets a run replace all but resize and crop by a preparation of the field that fits the network's first
    running statistics, where what is given does not; the preprocessing of its result is what was then applied.

    >>> Preprocessing(resize=256, crop=224, interpolation="bicubic").mean
    (0.485, 0.456, 0.406)
    """

    model_config = ConfigDict(allow_inf_nan=False)

    resize: Pixels | None = None
    crop: Pixels | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    channels: Annotated[Literal[1, 3], NUMBER] = 3
    mean: tuple[Annotated[float, NUMBER], ...] = IMAGENET_MEAN
    std: tuple[Annotated[float, Field(gt=0), NUMBER], ...] = IMAGENET_STD
    maximum: Annotated[int, Field(ge=1, le=65535), NUMBER] | None = None
    order: Literal["rgb", "bgr"] = "rgb"
    inverted: bool = False
    transposed: bool = False
    by_example: bool = False
    arrays: InputMap | None = None
    auto: bool = False

    @property
    def short(self) -> str:
        """As it may be written: mean and std, and what else is not left at its default."""
        shown = self.model_dump(mode="json", exclude_defaults=True)
        if self.arrays is None:
            shown |= {"mean": list(self.mean), "std": list(self.std)}
        return json.dumps(shown)

    @property
    def turns(self) -> tuple[bool, bool, bool]:
        """Whether it reverses the channels, inverts the values, and exchanges rows and columns."""
        return self.order == "bgr", self.inverted, self.transposed

    @property
    def sizes(self) -> tuple[float, ...]:
        """What values are divided by, one for each channel."""
        return self.std

    def followed_by(self, scale: Sequence[float], shift: Sequence[float]) -> Self | None:
        """The preprocessing that does the same, and then ``x ← scale·x + shift`` (C,); None for a negative std."""
        if any(a <= 0 for a in scale):
            return None
        mean = tuple(m - b * s / a for m, s, a, b in zip(self.mean, self.std, scale, shift, strict=True))
        std = tuple(s / a for s, a in zip(self.std, scale, strict=True))
        return self.model_copy(update={"mean": mean, "std": std})

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"{name} has {len(values)} values for {self.channels} channel(s); give one value per channel"
                )
        if self.order == "bgr" and self.channels != 3:
            raise ValueError("order is bgr, and channels is 1; a grey image has no order of channels, so leave it out")
        return self
