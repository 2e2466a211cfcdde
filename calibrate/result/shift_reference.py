"""The reference of a shift: the inputs of a network's layers on data that are known to be as they should be."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from calibrate.preprocessing import Preprocessing
from calibrate.values import Value

#: Fewer examples tell no shift from chance.
FEWEST_EXAMPLES: Final = 16
#: What the name of a reference's file ends in; it begins with that of the network's file.
SUFFIX: Final = ".reference.json"


class ReferenceLayer(Value):
    """The mean and the standard deviation (÷n) of each channel of a layer's inputs, in the order of the calls."""

    name: str
    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    deviation: tuple[float, ...]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.deviation) != len(self.mean):
            raise ValueError(f"layer {self.name} has {len(self.mean)} means and {len(self.deviation)} deviations")
        return self


class ChanceBand(Value):
    """What chance makes of so many ``examples`` of the same kind: ``shift`` and ``misfit`` at most."""

    examples: int
    shift: float
    misfit: float


class ShiftReference(Value):
    """The inputs of a network's layers on ``examples`` of the data ``source``, and how far chance takes others.

    ``weights`` is the fingerprint of the network that it belongs to, ``data`` that of the data, ``preprocessing`` how
    these were prepared. ``bands`` ascend in their number of examples, from 16 to ``examples``.
    """

    version: Literal[1] = 1
    weights: str
    source: str
    data: str
    examples: Annotated[int, Field(ge=FEWEST_EXAMPLES)]
    preprocessing: Preprocessing | None
    layers: Annotated[tuple[ReferenceLayer, ...], Field(min_length=1)]
    bands: Annotated[tuple[ChanceBand, ...], Field(min_length=1)]

    def band_of(self, examples: int) -> ChanceBand:
        """The band of the most examples that are not more than ``examples``; wider, never narrower than its own.

        >>> bands = tuple(ChanceBand(examples=n, shift=1 / n, misfit=1 / n) for n in (16, 32, 50))
        >>> layers = (ReferenceLayer(name="bn", mean=(0.0,), deviation=(1.0,)),)
        >>> reference = ShiftReference(
        ...     weights="", source="", data="", examples=50, preprocessing=None, layers=layers, bands=bands
        ... )
        >>> [reference.band_of(n).examples for n in (16, 31, 49, 50)]
        [16, 16, 32, 50]
        """
        return max((band for band in self.bands if band.examples <= examples), key=lambda band: band.examples)


def reference_path(checkpoint: Path) -> Path:
    """Where the reference of the network in the file ``checkpoint`` is.

    >>> reference_path(Path("out/tuned.safetensors")).as_posix()
    'out/tuned.reference.json'
    """
    return checkpoint.with_suffix(SUFFIX)
