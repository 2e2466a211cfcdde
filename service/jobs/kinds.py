"""The kinds of jobs, and the one table that says which steps each permits."""

from collections.abc import Mapping
from typing import Literal, get_args

from calibrate.recipe import STEP_KINDS, Recipe
from calibrate.steps import JobKind

#: The kinds that clients can submit. ``check`` is internal: it opens a new model or dataset in the sandbox.
Kind = Literal[JobKind, "export"]
AnyKind = Literal[Kind, "check"]

#: The steps that each kind permits. No kind permits fine-tuning of all weights, which never runs over REST.
PERMITTED: Mapping[Kind, frozenset[str]] = {
    kind: frozenset(name for name, step in STEP_KINDS.items() if kind in step.jobs) for kind in get_args(Kind)
}

#: The preset of a kind, where the request has no recipe.
DEFAULT_RECIPE: Mapping[Kind, str] = {
    "calibrate": "quick",
    "evaluate": "measure",
    "probe": "probe",
    "adapt": "adaptation",
}

#: The kinds that need data.
WITH_DATA: frozenset[Kind] = frozenset(get_args(JobKind))


def forbidden_steps(kind: Kind, recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """``(json_path, message)`` for each step of ``recipe`` that jobs of ``kind`` do not permit."""
    permitted = ", ".join(sorted(PERMITTED[kind]))
    return tuple(
        (f"recipe.steps[{number}].kind", f"{step.kind!r} is not a step of {kind} jobs; these permit {permitted}")
        for number, step in enumerate(recipe.steps)
        if step.kind not in PERMITTED[kind]
    )
