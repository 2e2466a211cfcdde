"""The frozen base of all our values, fields that several have, estimates with their intervals, and the metrics."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator


class Value(BaseModel):
    """Frozen, and closed to fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _number(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} was given; write a number")
    return validated(value) + 0


#: A number in a document: also as text, since YAML reads 1e-3 as text, but never true or false; and 0 for −0, since
#: values that are equal have one digest.
NUMBER = WrapValidator(_number)

#: How a checkpoint and data are read, the same in requests, manifests and over REST.
WeightsPath = Annotated[
    str | None,
    Field(description="which of several weights in the checkpoint, by their path in it or a part of the path"),
]
SplitName = Annotated[
    str | None, Field(min_length=1, description="the part to read of data that hold several, such as val")
]
SkipBroken = Annotated[
    int, Field(ge=0, lt=2**31, description="so many images that cannot be read may be left out"), NUMBER
]


class Estimate(Value):
    """A number with its 95 % interval (percentile bootstrap over examples)."""

    value: float
    low: float
    high: float


Metric = Literal["top1", "top5", "nll", "ece", "brier"]
#: What autocast computes in, where it is asked for.
Autocast = Literal["bfloat16", "float16"]
Verdict = Literal["improved", "no evidence", "worse"]

#: How each metric reads in a table, and whether more is better.
METRICS: dict[Metric, tuple[str, bool]] = {
    "top1": ("top-1 %", True),
    "top5": ("top-5 %", True),
    "nll": ("NLL", False),
    "ece": ("ECE", False),
    "brier": ("Brier", False),
}
