"""The frozen base of all our values, numbers in documents, estimates with their intervals, and the metrics."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, WrapValidator


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
