"""The kinds of jobs, and the one table that says which steps each permits."""

from collections.abc import Mapping
from typing import Literal, get_args

from calibrate.recipe import STEP_KINDS, Recipe

#: What a client may ask for. ``check`` is the server's own: it opens a new model or dataset in the sandbox.
Kind = Literal["calibrate", "evaluate", "probe", "adapt", "export"]
AnyKind = Literal["calibrate", "evaluate", "probe", "adapt", "export", "check"]

#: The steps that a recipe of the kind may have. Fine-tuning of all weights is in none: it never runs over REST.
PERMITTED: Mapping[Kind, frozenset[str]] = {
    kind: frozenset(name for name, step in STEP_KINDS.items() if kind in step.jobs) for kind in get_args(Kind)
}

#: The preset that a kind carries out where the request has no recipe.
DEFAULT_RECIPE: Mapping[Kind, str] = {
    "calibrate": "alpha",
    "evaluate": "measure",
    "probe": "probe",
    "adapt": "adaptation",
}

#: The kinds that need data.
WITH_DATA: frozenset[Kind] = frozenset({"calibrate", "evaluate", "probe", "adapt"})


def forbidden_steps(kind: Kind, recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """``(json_path, message)`` for each step of ``recipe`` that jobs of ``kind`` do not permit."""
    permitted = ", ".join(sorted(PERMITTED[kind]))
    return tuple(
        (f"recipe.steps[{number}].kind", f"{step.kind!r} is not a step of {kind} jobs; these take {permitted}")
        for number, step in enumerate(recipe.steps)
        if step.kind not in PERMITTED[kind]
    )
