"""The catalogue: every step that a recipe can have, and every preset. It has no layers: jobs do not train."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from calibrate.recipe import PRESETS, STEP_KINDS, Outputs, Preprocessing, Recipe
from calibrate.steps import introduction, read_card
from calibrate.values import Value


class Method(Value):
    """A step: what it does, when it helps and when not, its cost, limits and reference, and its JSON Schema."""

    kind: str
    title: str
    description: str
    symbols: str
    formula: str
    changes_nothing_when: str
    helps_when: str
    does_not_help_when: str
    cost: str
    limits: str
    reference: str
    jobs: Annotated[tuple[str, ...], Field(description="the kinds of jobs that permit it")]
    json_schema: Annotated[dict[str, Any], Field(description="of the step in a recipe")]


class Preset(Value):
    """A recipe with a name."""

    name: str
    digest: str
    recipe: Recipe


class Catalogue(Value):
    """All steps and presets; ``json_schemas`` has those of recipe, outputs and preprocessing."""

    methods: tuple[Method, ...]
    presets: tuple[Preset, ...]
    json_schemas: dict[str, dict[str, Any]]


def catalogue(permitted: Mapping[Any, frozenset[str]]) -> Catalogue:
    """The catalogue; ``permitted`` has the steps that each kind of job permits."""
    return Catalogue(
        methods=tuple(_method(kind, permitted) for kind in STEP_KINDS),
        presets=tuple(Preset(name=name, digest=recipe.digest, recipe=recipe) for name, recipe in PRESETS.items()),
        json_schemas={
            document.__name__.lower(): document.model_json_schema() for document in (Recipe, Outputs, Preprocessing)
        },
    )


def _method(kind: str, permitted: Mapping[Any, frozenset[str]]) -> Method:
    step = STEP_KINDS[kind]
    card = read_card(step)
    return Method(
        kind=kind,
        title=card.sentence,
        description=introduction(step),
        symbols=card.symbols,
        formula=card.formula,
        changes_nothing_when=card.equals,
        helps_when=card.helps,
        does_not_help_when=card.does_not_help,
        cost=card.cost,
        limits=card.limits,
        reference=card.reference,
        jobs=tuple(job for job, steps in permitted.items() if kind in steps),
        json_schema=step.model_json_schema(),
    )
