"""Outputs: which files a run writes. Apart from the recipe, because they change nothing in the result."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from calibrate.values import NUMBER, Value

#: The ONNX opsets that can be written, each with the lowest IR version that knows it, as onnx itself pairs them.
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
#: The opset of a file for which none is asked.
DEFAULT_OPSET = 20


class GraphOptions(Value):
    """The form of an ONNX file: for which runtimes it is, and which of its input's dimensions are free.

    An old runtime refuses a new opset or IR version. Without an IR version it is the lowest that knows the opset.

    >>> GraphOptions(opset=16).versions, GraphOptions().versions
    ((16, 8), (20, 9))
    """

    opset: Annotated[
        Annotated[int, Field(ge=min(LOWEST_IR), le=max(LOWEST_IR)), NUMBER] | None,
        Field(description=f"of the ONNX file; else {DEFAULT_OPSET}"),
    ] = None
    ir_version: Annotated[
        Annotated[int, Field(ge=min(LOWEST_IR.values()), le=max(LOWEST_IR.values())), NUMBER] | None,
        Field(description="of the ONNX file; else the lowest that knows the opset"),
    ] = None
    dynamic: Annotated[
        bool, Field(description="leave height and width free in the ONNX file, as the batch size is", strict=True)
    ] = False

    @property
    def versions(self) -> tuple[int, int]:
        """The opset and the IR version of the file."""
        opset = self.opset or DEFAULT_OPSET
        return opset, self.ir_version or LOWEST_IR[opset]

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
