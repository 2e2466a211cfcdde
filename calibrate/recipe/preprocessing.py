"""Preprocessing: how an image becomes the network's input, as a value."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from calibrate.values import NUMBER, Value

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Pixels = Annotated[int, Field(ge=1, le=4096), NUMBER]


class Preprocessing(Value):
    """Resize, centre-crop, scale to [0, 1], then ``(x - mean) / std`` per channel.

    ``resize`` is the length of the shorter side, ``crop`` the side of the central square (padded with black where the
    image is smaller); either may be left out. ``channels`` 1 reads images as grey, 3 as RGB.
    Arrays of floating point numbers are taken as they are: they are network input already.

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

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"{name} has {len(values)} values for {self.channels} channel(s); give one value per channel"
                )
        return self
