"""The options of an automatic search, and how they become its step. No torch here."""

import re
from typing import Annotated, Any

import typer

from calibrate.cli.options import given
from calibrate.cli.stream_options import domains_of
from calibrate.errors import UsageError
from calibrate.recipe import Recipe
from calibrate.steps import StepValue

Budget = Annotated[
    str | None,
    typer.Option(
        metavar="N-passes|Nmin", help="What the recipe auto may spend, such as 20-passes or 5min.", show_default=False
    ),
]
Shifts = Annotated[
    str | None,
    typer.Option(
        help="What the recipe auto is to choose and measure on, such as 'as-is,fog:3,gaussian_noise:3'.",
        show_default=False,
    ),
]
Guardrail = Annotated[
    float | None,
    typer.Option(
        min=0, max=100, help="Points of top-1 that --shifts may cost on the data as they are.", show_default=False
    ),
]

_PASSES = re.compile(r"(\d+(?:\.\d+)?)-pass(?:es)?")
_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|min|h)")
_MINUTES = {"s": 1 / 60, "min": 1.0, "h": 60.0}


def with_search(recipe: Recipe, budget: str | None, shifts: str | None, guardrail: float | None) -> Recipe:
    """``recipe`` with the budget, shifts and guardrail of its step auto as given; as it is where none is given."""
    fields: dict[str, Any] = {}
    if budget is not None:
        fields |= _budget(budget)
    if shifts is not None:
        fields["shifts"] = domains_of(shifts, "--shifts")
    if guardrail is not None:
        fields["guardrail"] = guardrail / 100
    if not fields:
        return recipe
    if not any(_has_budget(step) for step in recipe.steps):
        raise UsageError(
            "--budget, --shifts and --guardrail are of the recipes auto and quick, and the recipe has no such step; "
            "add --recipe auto, or leave them out."
        )
    steps = tuple(_with(step, fields) if _has_budget(step) else step for step in recipe.steps)
    return recipe.model_copy(update={"steps": steps})


def _with(step: StepValue, fields: dict[str, Any]) -> StepValue:
    changed = given(type(step), {name: getattr(step, name) for name in step.model_fields_set} | fields, "the search")
    if "guardrail" in fields and not getattr(changed, "shifts", ()):
        raise UsageError("--guardrail guards the data as they are against shifts, and there are none; add --shifts.")
    return changed


def _budget(text: str) -> dict[str, float]:
    """The limit that ``text`` names.

    >>> _budget("20-passes"), _budget("90s")
    ({'max_passes': 20.0}, {'max_minutes': 1.5})
    """
    if passes := _PASSES.fullmatch(text):
        return {"max_passes": float(passes[1])}
    if duration := _TIME.fullmatch(text):
        return {"max_minutes": float(duration[1]) * _MINUTES[duration[2]]}
    raise UsageError(f"--budget {text!r} is no budget; give passes or a time, such as 20-passes, 90s, 5min or 1h.")


def _has_budget(step: StepValue) -> bool:
    """Whether the step searches within a budget, as ``auto`` does."""
    return "max_passes" in type(step).model_fields
