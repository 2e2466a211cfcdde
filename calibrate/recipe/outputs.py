"""Outputs: which files a run writes. Apart from the recipe, because they change nothing in the result."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from calibrate.values import NUMBER, Value


class Outputs(Value):
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
