"""Outputs: which files a run writes. Apart from the recipe, because they change nothing in the result."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from calibrate.values import NUMBER, Value

#: The ONNX opsets that can be written, each with the lowest IR version that knows it.
LOWEST_IR = {
    13: 7,
    14: 7,
    15: 8,
    16: 8,
    17: 8,
    18: 8,
    19: 9,
    20: 9,
    21: 10,
    22: 10,
    23: 11,
    24: 12,
    25: 13,
}
#: The opset and the IR version of a file for which none is asked.
DEFAULT_OPSET, DEFAULT_IR = 20, 10


class GraphOptions(Value):
    """The form of an ONNX file: for which runtimes it is, and which of its input's dimensions are free.

    An old runtime refuses a new opset or IR version. Where an opset alone is given, the IR version is the lowest that
    knows it.

    >>> GraphOptions(opset=16).versions, GraphOptions().versions
    ((16, 8), (20, 10))
    """

    opset: Annotated[
        Annotated[int, Field(ge=min(LOWEST_IR), le=max(LOWEST_IR)), NUMBER] | None,
        Field(description=f"of the ONNX file; else {DEFAULT_OPSET}"),
    ] = None
    ir_version: Annotated[
        Annotated[int, Field(ge=min(LOWEST_IR.values()), le=max(LOWEST_IR.values())), NUMBER] | None,
        Field(description=f"of the ONNX file; else the lowest that knows the opset, and {DEFAULT_IR} without one"),
    ] = None
    dynamic: Annotated[
        bool, Field(description="leave height and width free in the ONNX file, as the batch size is", strict=True)
    ] = False

    @property
    def versions(self) -> tuple[int, int]:
        """The opset and the IR version of the file."""
        if self.opset is None:
            return DEFAULT_OPSET, self.ir_version or DEFAULT_IR
        return self.opset, self.ir_version or LOWEST_IR[self.opset]

    @model_validator(mode="after")
    def _known(self) -> Self:
        opset, ir_version = self.versions
        if ir_version < LOWEST_IR[opset]:
            highest = max(known for known, lowest in LOWEST_IR.items() if lowest <= ir_version)
            raise ValueError(
                f"the IR version {ir_version} knows no opset {opset}, which needs {LOWEST_IR[opset]}; "
                f"with this IR version ask for an opset of {highest} at most"
            )
        return self


class Outputs(GraphOptions):
    """The tuned network's file formats.

    >>> Outputs(formats=("safetensors",)).formats
    ('safetensors',)
    """

    formats: Annotated[tuple[Literal["safetensors", "onnx"], ...], Field(json_schema_extra={"uniqueItems": True})] = (
        "safetensors",
        "onnx",
    )
    latency_runs: Annotated[
        int, Field(ge=0, le=1000, description="interleaved ONNX Runtime timings; 0 for none"), NUMBER
    ] = 30

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for name in formats:
            if formats.count(name) > 1:
                raise ValueError(f"formats names {name} {formats.count(name)} times; name it once")
        return formats
