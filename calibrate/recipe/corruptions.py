"""The C-style corruptions by name: those of Hendrycks and Dietterich (ICLR 2019) as imagecorruptions makes them."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

Noise = Literal["gaussian_noise", "shot_noise", "impulse_noise"]
Blur = Literal["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"]
Weather = Literal["snow", "frost", "fog", "brightness"]
Digital = Literal["contrast", "elastic_transform", "pixelate", "jpeg_compression"]
Validation = Literal["speckle_noise", "gaussian_blur", "spatter", "saturate"]
Corruption = Literal[Noise, Blur, Weather, Digital, Validation]
CorruptionSet = Literal["all", "common", "validation"]

COMMON: Final[tuple[Corruption, ...]] = (*get_args(Noise), *get_args(Blur), *get_args(Weather), *get_args(Digital))
VALIDATION: Final[tuple[Corruption, ...]] = get_args(Validation)

#: The corruptions of each set: 15 on which robustness is reported, and 4 meant for choosing methods.
CORRUPTION_SETS: Final[Mapping[CorruptionSet, tuple[Corruption, ...]]] = {
    "all": COMMON + VALIDATION,
    "common": COMMON,
    "validation": VALIDATION,
}


def c_style(corruption: Corruption) -> str:
    """What tables, figures and errors call the corruption.

    >>> c_style("motion_blur")
    'C-style motion blur'
    """
    return f"C-style {corruption.replace('_', ' ')}"
