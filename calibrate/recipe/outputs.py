"""Outputs: which files a run writes. Apart from the recipe, because they change nothing in the result."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Outputs(BaseModel):
    """The tuned network's file formats.

    >>> Outputs(formats=("safetensors",)).formats
    ('safetensors',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[Literal["safetensors", "onnx"], ...] = ("safetensors", "onnx")
    latency_runs: Annotated[int, Field(ge=0, le=1000, description="interleaved ONNX Runtime timings; 0 for none")] = 30
