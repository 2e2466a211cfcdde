"""The catalogue: every step that a recipe can have, and every preset."""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from calibrate.recipe import PRESETS, Outputs, Preprocessing, Recipe, Step
from service.methods.cards import CARDS


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Method(_Value):
    """A step: what it does, when that helps, its limits, who found it, and its fields as JSON Schema."""

    kind: str
    title: str
    description: str
    helps_when: str
    limits: str
    reference: str
    jobs: Annotated[tuple[str, ...], Field(description="the kinds of jobs that permit it")]
    json_schema: Annotated[dict[str, Any], Field(description="of the step in a recipe")]


class Preset(_Value):
    """A recipe with a name, by which jobs can ask for it."""

    name: str
    digest: str
    recipe: Recipe


class Catalogue(_Value):
    """All that a job can be made of; ``json_schemas`` has the documents recipe, outputs and preprocessing."""

    methods: tuple[Method, ...]
    presets: tuple[Preset, ...]
    json_schemas: dict[str, dict[str, Any]]


def catalogue(permitted: Mapping[Any, frozenset[str]]) -> Catalogue:
    """The catalogue, where ``permitted`` says which steps each kind of job may have."""
    return Catalogue(
        methods=tuple(_method(step, permitted) for step in get_args(get_args(Step)[0])),
        presets=tuple(Preset(name=name, digest=recipe.digest, recipe=recipe) for name, recipe in PRESETS.items()),
        json_schemas={
            document.__name__.lower(): document.model_json_schema() for document in (Recipe, Outputs, Preprocessing)
        },
    )


def _method(step: type[BaseModel], permitted: Mapping[Any, frozenset[str]]) -> Method:
    kind = step.model_fields["kind"].default
    card = CARDS[kind]
    return Method(
        kind=kind,
        title=card.title,
        description=inspect.getdoc(step) or "",
        helps_when=card.helps_when,
        limits=card.limits,
        reference=card.reference,
        jobs=tuple(job for job, steps in permitted.items() if kind in steps),
        json_schema=step.model_json_schema(),
    )
