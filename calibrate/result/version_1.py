"""Summaries of version 1, which had a field for each kind of result, as summaries of version 2; and fine-tunings.

The only place that knows version 1; delete it when nobody has such files any more.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

from calibrate.recipe import Recipe

Document = dict[str, Any]

#: The fields that stayed as they were.
_KEPT = (
    *("recipe", "recipe_digest", "model", "data", "changes", "verdict", "reasons", "findings", "environment"),
    "timings",
    "layers",
)
_FILES = ("artifacts", "serving")
#: The fields that held results.
_RESULTS = (
    "search",
    "measurement",
    "answers",
    "leaderboard",
    "reestimations",
    "probes",
    "kept",
    "learned",
    "label_free",
)
#: Names that version 1 gave to fields of results and files.
_RENAMED = {
    "standings": "rows",
    "held_out": "holdout",
    "against_plain": "against_original",
    "plain_ms": "original_ms",
    "plain_bytes": "original_bytes",
    "plain": "original",
}
#: The fields that name an arm, or a row of the leaderboard.
_NAMING = ("arm", "baseline", "chosen")


def reading(document: Any, newer: Callable[[Document], Document]) -> Any:
    """``document``, or what ``newer`` makes of it where it is of version 1; ValueError where it can make nothing."""
    if not isinstance(document, dict) or type(document.get("version")) is not int or document["version"] != 1:
        return document
    try:
        return newer(document)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"this is no whole document of version 1: {error!r}") from None


def summary_from_version_1(old: Document) -> Document:
    """The summary as version 2 has it: what came of the steps is one list, in the order of the recipe.

    Version 1 kept the last search for α alone, so that of other searches there is nothing.
    """
    if unknown := old.keys() - {"version", *_KEPT, *_FILES, *_RESULTS}:
        raise KeyError(f"the field {min(unknown)} is not of version 1")
    old = _other_candidate_name(old)
    results = {kind: deque(found) for kind, found in _results(old).items()}
    left = Counter(kinds := list(_kinds(old)))
    outcomes = []
    for kind in kinds:
        waiting = results.get(kind, ())
        if len(waiting) >= left[kind] and waiting:
            outcomes.append(waiting.popleft())
        left[kind] -= 1
    outcomes += [result for waiting in results.values() for result in waiting]
    new = {name: old[name] for name in _KEPT}
    served = {name: renamed(old[name]) for name in _FILES if name in old}
    return new | served | {"version": 2, "outcomes": outcomes}


def fine_tuned_from_version_1(old: Document) -> Document:
    """The fine-tuning as version 2 has it: the network that was called ``plain`` is ``original``."""
    return old | {"version": 2, "measurement": renamed(old["measurement"])}


def _other_candidate_name(old: Document) -> Document:
    """``old`` without a candidate that has the name which version 2 gives to the original network."""

    def renamed_candidate(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed_candidate(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [renamed_candidate(inner) for inner in value]
        return "original (candidate)" if value == "original" else value

    if not old.get("leaderboard"):
        return old
    return old | {name: renamed_candidate(old[name]) for name in ("recipe", "leaderboard")}


def _results(old: Document) -> dict[str, list[Document]]:
    """All results, by the kind of the step that they came of."""
    results: dict[str, list[Document]] = {}

    def add(kind: str, result: Document | None, **more: Any) -> None:
        if result is not None:
            results.setdefault(kind, []).append({"kind": kind, **renamed(result), **more})

    board = old.get("leaderboard")
    if board is not None:
        rows = [row | {"name": "original"} if row["name"] == "plain" else row for row in board["standings"]]
        add("auto", board | {"standings": rows, "recipe": _short(board["recipe"])})
    add("search_alpha", old["search"])
    for kind, name in (("label_free_alpha", "label_free"), ("reestimate", "reestimations"), ("adapt", "kept")):
        for result in old.get(name, ()):
            add(kind, result)
    for result in old.get("learned", ()):
        add(result["kind"], result)
    for result in old.get("probes", ()):
        kind = result["probe"] if result["kind"] == "not_applicable" else result["kind"]
        add(kind, result)
    add(
        "measure",
        old["measurement"],
        outputs=old["model"]["outputs"],
        domains=board["domains"] if board else (),
        changes=old.get("answers"),
    )
    return results


def _kinds(old: Document) -> Iterator[str]:
    """The kinds of the steps that were carried out, in their order, with those of the candidate that was taken."""
    board = old.get("leaderboard") or {}
    for step in old["recipe"]["steps"]:
        yield step["kind"]
        if step["kind"] == "auto":
            taken = [item for item in step["candidates"] if item["name"] == board.get("recommended")]
            yield from (inner["kind"] for candidate in taken for inner in candidate["steps"])
            yield "measure"


def _short(recipe: Document | None) -> Document | None:
    return None if recipe is None else json.loads(Recipe.model_validate(recipe).canonical)


def renamed(value: Any) -> Any:
    """``value`` with the names of version 2: ``original`` for the network that was called ``plain``."""
    if isinstance(value, dict):
        return {
            _RENAMED.get(key, key): "original" if key in _NAMING and inner == "plain" else renamed(inner)
            for key, inner in value.items()
        }
    return [renamed(inner) for inner in value] if isinstance(value, list) else value
