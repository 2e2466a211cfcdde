"""``afternorm schema``: the JSON Schema of each document."""

import json
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import BaseModel

from calibrate.cli.console import say
from calibrate.recipe import Comparison, FineTuning, Manifest, Outputs, Placement, Preprocessing, Recipe
from calibrate.result import Summary


class Document(StrEnum):
    """The documents that have a schema."""

    RECIPE = "recipe"
    OUTPUTS = "outputs"
    PREPROCESSING = "preprocessing"
    MANIFEST = "manifest"
    PLACEMENT = "placement"
    FINETUNING = "finetuning"
    COMPARISON = "comparison"
    SUMMARY = "summary"


KINDS: dict[Document, type[BaseModel]] = {
    Document.RECIPE: Recipe,
    Document.OUTPUTS: Outputs,
    Document.PREPROCESSING: Preprocessing,
    Document.MANIFEST: Manifest,
    Document.PLACEMENT: Placement,
    Document.FINETUNING: FineTuning,
    Document.COMPARISON: Comparison,
    Document.SUMMARY: Summary,
}


def schema_command(document: Annotated[Document, typer.Argument(help="Which document.")] = Document.RECIPE) -> None:
    """Print the JSON Schema of a document: every field, its range and its default."""
    say(json.dumps(KINDS[document].model_json_schema(), indent=2, ensure_ascii=False))
