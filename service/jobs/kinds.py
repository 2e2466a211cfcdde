"""The kinds of jobs, and the one table that says which steps each permits."""

from collections.abc import Mapping
from typing import Literal

from calibrate.recipe import STEP_KINDS, Probe, Recipe, Reestimate

#: What a client may ask for. ``check`` is the server's own: it opens a new model or dataset in the sandbox.
Kind = Literal["calibrate", "evaluate", "probe", "adapt", "export"]
AnyKind = Literal["calibrate", "evaluate", "probe", "adapt", "export", "check"]

#: The steps that only look.
PROBES = frozenset(kind for kind, step in STEP_KINDS.items() if issubclass(step, Probe))

#: The steps that a recipe of the kind may have. Fine-tuning is in none: it never runs over REST.
PERMITTED: Mapping[Kind, frozenset[str]] = {
    "calibrate": frozenset(
        {"reestimate", "set_alpha", "search_alpha", "label_free_alpha", "adapt", "temperature", "measure"}
    )
    | PROBES,
    "evaluate": frozenset({"measure", "corruptions"}),
    "probe": frozenset({"measure"}) | PROBES,
    "adapt": frozenset({"adapt", "temperature", "measure"}) | PROBES,
    "export": frozenset(),
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
    foreign = tuple(
        (f"recipe.steps[{number}].kind", f"{step.kind!r} is not a step of {kind} jobs; these take {permitted}")
        for number, step in enumerate(recipe.steps)
        if step.kind not in PERMITTED[kind]
    )
    return foreign + tuple(
        (f"recipe.steps[{number}].on", "jobs have no training data; give 'calibration', or run it with the command")
        for number, step in enumerate(recipe.steps)
        if isinstance(step, Reestimate) and step.on == "training"
    )
