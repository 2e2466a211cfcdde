"""Reading the documents people write (YAML, JSON or TOML) into values, with errors that name the field."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from calibrate.errors import RecipeError, UsageError, meant
from calibrate.preprocessing import Preprocessing
from calibrate.recipe.recipe import PRESETS, Recipe
from calibrate.recipe.yaml_text import plain
from calibrate.steps import StepValue

Value = TypeVar("Value", bound=BaseModel)

#: The places, at the end of a path, of values that are told apart by their kind.
_TAGGED = re.compile(r"(steps|methods|layers|penalties)\[\d+\]$|(^|\.)(method|optimizer)$")


def parse(kind: type[Value], document: Any, source: str) -> Value:
    """Validate ``document`` as a ``kind``; ``source`` names it in the error.

    >>> parse(Recipe, {"steps": [{"kind": "set_alpha", "alpha": 1.5}]}, "recipe.yaml")
    Traceback (most recent call last):
    ...
    calibrate.errors.RecipeError: recipe.yaml is not a valid recipe: steps[0].alpha: 1.5 was given; input should be \
less than or equal to 1. `afternorm schema recipe` prints every field and its range.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        fields = broken_fields(error.errors(include_url=False))
        noun = kind.__name__.lower()
        broken = "; ".join(f"{path}: {message}" if path else message for path, message in fields)
        raise RecipeError(
            f"{source} is not a valid {noun}: {broken}. `afternorm schema {noun}` prints every field and its range.",
            fields,
        ) from None


def broken_fields(errors: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """One ``(json_path, message)`` for each of pydantic's ``errors``.

    A tuple with a broken item counts as too short, too; that is left out.
    """
    found = [(tuple(item["loc"]), item) for item in errors]
    within = {place[:depth] for place, _ in found for depth in range(len(place))}
    return tuple(
        (_path(place), _sentence(item)) for place, item in found if item["type"] != "too_short" or place not in within
    )


def read(kind: type[Value], path: str | Path) -> Value:
    """Read the YAML, JSON or TOML file at ``path`` as a ``kind``."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}. Give the path of a YAML, JSON or TOML file.") from None
    return loads(kind, text, str(path), toml=path.suffix == ".toml")


def loads(kind: type[Value], text: str, source: str, *, toml: bool = False) -> Value:
    """Read YAML, JSON or TOML text as a ``kind``."""
    try:
        document = tomllib.loads(text) if toml else plain(text)
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise RecipeError(f"{source} is not well-formed: {reason}.") from None
    except RecursionError:
        raise RecipeError(f"{source} is not well-formed: it is nested too deeply to be read.") from None
    return parse(kind, document, source)


def read_recipe(name: str) -> Recipe:
    """The preset of that name, or the recipe in the file of that name."""
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if not path.exists():
        known = ", ".join(sorted(PRESETS))
        raise UsageError(f"the recipe {name!r} is neither a preset nor a file; the presets are {known}.")
    return read(Recipe, path)


def as_recipe(given: Recipe | StepValue | Mapping[str, Any] | Sequence[Any] | str | Path) -> Recipe:
    """The recipe that ``given`` means: itself, a preset's name, a document of a recipe, a step, or a list of steps.

    A path is that of a recipe file.

    >>> from calibrate.steps import Measure, Temperature
    >>> as_recipe("temperature") == as_recipe(["temperature", "measure"]) == as_recipe([Temperature(), Measure()])
    True
    """
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Path):
        return read(Recipe, given)
    if isinstance(given, str):
        if given in PRESETS:
            return PRESETS[given]
        raise UsageError(
            f"there is no preset {given!r}{meant(given, PRESETS)}; the presets are {', '.join(sorted(PRESETS))}. A "
            f"recipe in a file is given as `pathlib.Path({given!r})`."
        )
    if isinstance(given, Mapping):
        return parse(Recipe, {"steps": [dict(given)]} if "kind" in given else dict(given), "the recipe")
    steps = [given] if isinstance(given, StepValue) else given
    if isinstance(steps, Sequence):
        return parse(Recipe, {"steps": [{"kind": item} if isinstance(item, str) else item for item in steps]}, "recipe")
    raise UsageError(
        f"recipe is {type(given).__name__}; give a preset's name such as 'alpha', a list of steps, a mapping or a "
        "Recipe."
    )


def as_preprocessing(given: Preprocessing | Mapping[str, Any] | str | None) -> Preprocessing | None:
    """The preprocessing that ``given``, maybe a mapping as in a file, or ``auto``, means."""
    if given == "auto":
        return Preprocessing(auto=True)
    if given is None or isinstance(given, Preprocessing):
        return given
    if isinstance(given, Mapping):
        return parse(Preprocessing, dict(given), "preprocessing")
    raise UsageError(
        f"preprocessing is {given!r}; give a Preprocessing, a mapping such as {{'resize': 256, 'crop': 224}}, or "
        "'auto'."
    )


def _path(location: tuple[int | str, ...]) -> str:
    """A pydantic location as a JSON path, without the tags pydantic adds for tagged unions.

    These are the kind of what stands in ``_TAGGED`` places, and whatever stands in <>.
    """
    path = ""
    before_tag = False
    for part in location:
        if isinstance(part, str) and part.startswith("<"):
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        elif not before_tag:
            path += f".{part}" if path else part
        before_tag = not (before_tag and isinstance(part, str)) and _TAGGED.search(path) is not None
    return path


def _sentence(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if item["type"] in ("value_error", "missing", "extra_forbidden") or isinstance(item["input"], dict | list):
        return message
    return f"{item['input']!r} was given; {message}"
