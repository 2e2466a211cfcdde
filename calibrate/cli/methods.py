"""``afternorm methods``: what there is to choose from, and the card of each method."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from calibrate.cli import options
from calibrate.cli.console import say
from calibrate.errors import UsageError, meant
from calibrate.recipe import FINE_TUNING_KINDS, STEP_KINDS
from calibrate.recipe.canonical_json import without_defaults
from calibrate.steps import METHOD_KINDS, Card, read_card

HEADINGS = {
    "step": "Steps of a recipe, for the command line, Python and jobs over REST:",
    "adapter": "Methods of test-time adaptation, for the steps adaptation and adapt:",
    "fine-tuning": "Parts of a fine-tuning, for `afternorm finetune` and Python; REST never trains:",
    "layer": "Layers in the place of BatchNorm, for training in Python (calibrate.nn):",
}

#: How the parts of a card are called that stand below its sentence and formula.
LABELS = {
    "helps": "Helps when",
    "does_not_help": "Does not help when",
    "cost": "Cost",
    "limits": "Limits",
    "reference": "Reference",
}
EQUALS = dict.fromkeys(HEADINGS, "Changes nothing when") | {"layer": "Equals BatchNorm when"}
COLUMN, WIDTH = 24, 110


@dataclass(frozen=True, slots=True)
class MethodCard:
    """A step, an adaptation method, a part of a fine-tuning or a layer by its name, with its card and its settings."""

    name: str
    kind: Literal["step", "adapter", "fine-tuning", "layer"]
    card: Card
    settings: tuple[inspect.Parameter, ...]


def methods_command(
    name: Annotated[str | None, typer.Argument(help="Print the card of this one.", show_default=False)] = None,
    as_json: options.AsJson = False,
) -> None:
    """List steps, adaptation methods, parts of a fine-tuning and layers, or print the card of one, with its limits."""
    if name is None:
        known = [*_steps(), *_adapters(), *_parts(), *_layers()]
        say(
            json.dumps([_fields(method) for method in known], indent=2, ensure_ascii=False) if as_json else _list(known)
        )
        return
    method = _find(name)
    say(json.dumps(_fields(method), indent=2, ensure_ascii=False) if as_json else _plain(_text(method)))


def _steps() -> tuple[MethodCard, ...]:
    return tuple(MethodCard(kind, "step", read_card(value), _fields_of(value)) for kind, value in STEP_KINDS.items())


def _adapters() -> tuple[MethodCard, ...]:
    return tuple(
        MethodCard(kind, "adapter", read_card(value), _fields_of(value)) for kind, value in METHOD_KINDS.items()
    )


def _parts() -> tuple[MethodCard, ...]:
    return tuple(
        MethodCard(name, "fine-tuning", read_card(value), _fields_of(value))
        for name, value in FINE_TUNING_KINDS.items()
    )


def _layers() -> tuple[MethodCard, ...]:
    from calibrate.nn import LAYERS

    return tuple(MethodCard(name, "layer", spec.card, tuple(spec.settings.values())) for name, spec in LAYERS.items())


def _find(name: str) -> MethodCard:
    """The method of that name; torch is loaded only where it may be a layer."""
    steps = {method.name: method for method in (*_steps(), *_adapters(), *_parts())}
    if name in steps:
        return steps[name]
    known: Mapping[str, MethodCard] = steps | {method.name: method for method in _layers()}
    if name not in known:
        raise UsageError(
            f"there is no method {name!r}{meant(name, known)}; `afternorm methods` lists the {len(known)} there are."
        )
    return known[name]


def _fields_of(value: type[BaseModel]) -> tuple[inspect.Parameter, ...]:
    fields = value.model_fields.items()
    return tuple(
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.is_required() else field.default,
            annotation=_bare(field.annotation),
        )
        for name, field in fields
        if name != "kind"
    )


def _bare(annotation: Any) -> Any:
    """The type without what is said of it beside.

    >>> _bare(tuple[Annotated[int, "images"] | None, ...])
    tuple[int | None, ...]
    """
    origin, arguments = get_origin(annotation), tuple(map(_bare, get_args(annotation)))
    if origin is Annotated:
        return arguments[0]
    if origin in (Union, UnionType):
        return reduce(or_, arguments)
    return origin[arguments] if origin is tuple else annotation


def _fields(method: MethodCard) -> dict[str, object]:
    return {
        "name": method.name,
        "kind": method.kind,
        **asdict(method.card),
        "settings": [_setting_fields(setting) for setting in method.settings],
    }


def _setting_fields(setting: inspect.Parameter) -> dict[str, object]:
    required = setting.default is inspect.Parameter.empty
    return {
        "name": setting.name,
        "type": inspect.formatannotation(setting.annotation),
        "required": required,
        "default": None if required else to_jsonable_python(setting.default),
    }


def _list(known: Iterable[MethodCard]) -> str:
    known = tuple(known)
    width = max(len(method.name) for method in known)
    lines = []
    for kind, heading in HEADINGS.items():
        lines += [heading, *(f"  {m.name:<{width}}  {m.card.sentence}" for m in known if m.kind == kind), ""]
    return "\n".join([*lines, "`afternorm methods NAME` prints the card of one."])


def _text(method: MethodCard) -> str:
    settings = [_setting_words(setting) for setting in method.settings]
    card = asdict(method.card)
    rows = [_row(EQUALS[method.kind], method.card.equals), *(_row(label, card[part]) for part, label in LABELS.items())]
    return "\n".join(
        [
            f"{method.name} ({method.kind}): {method.card.sentence}",
            "",
            textwrap.fill(method.card.symbols, WIDTH),
            "",
            textwrap.indent(method.card.formula, "    "),
            "",
            *(_row("" if number else "Settings", text) for number, text in enumerate(settings or ["none"])),
            *rows,
        ]
    )


def _setting_words(setting: inspect.Parameter) -> str:
    """A setting with its type and default; values of our own as a document has them."""
    kind = re.sub(r"\b(?:\w+\.)+", "", inspect.formatannotation(setting.annotation))
    if setting.default is inspect.Parameter.empty:
        return f"{setting.name}: {kind}"
    short = without_defaults(setting.default)
    default = (
        repr(setting.default) if short == setting.default else json.dumps(to_jsonable_python(short), ensure_ascii=False)
    )
    return f"{setting.name}: {kind} = {default}"


def _row(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{label:<{COLUMN}}",
        subsequent_indent=" " * COLUMN,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """Docstrings quote code twice, a terminal once."""
    return text.replace("``", "`")
