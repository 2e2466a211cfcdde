"""Numbers in documents: also as text, since YAML reads 1e-3 as text, but never as a truth value."""

from typing import Any

from pydantic import ValidatorFunctionWrapHandler, WrapValidator


def _number(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} was given; write a number")
    return validated(value) + 0


#: Refuses true and false, and makes 0 of −0: values that are equal have one digest.
NUMBER = WrapValidator(_number)
