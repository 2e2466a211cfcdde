"""The class map: which class of the model each class of the data is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from calibrate.data.table import CsvTable
from calibrate.errors import UsageError

#: Data class name to model class name, or to model class index.
ClassMap = Mapping[str, str | int]

COLUMNS = ("data", "model")
EXAMPLE = "'tabby: cat'"


def read_class_map(path: str | Path) -> dict[str, str | int]:
    """Read a class map: YAML or JSON, a mapping of names; or CSV with the columns ``data`` and ``model``.

    Everything is taken as text, as it is written; text that is no class name but a whole number is a class index.
    """
    place, name = Path(path), f"the class map {str(path)!r}"
    if place.suffix.lower() not in (".yaml", ".yml", ".json", ".csv"):
        raise UsageError(f"{name} is of no known kind; give a file that ends in .yaml, .json or .csv.")
    if place.suffix.lower() == ".csv":
        return _unique(((row.fields[0], row.fields[1]) for row in CsvTable(place, COLUMNS, name).rows()), name)
    try:
        text = place.read_text(encoding="utf-8-sig")
        pairs = _json_pairs(text) if place.suffix.lower() == ".json" else _yaml_pairs(text)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError, yaml.YAMLError):
        pairs = None
    if not pairs:
        raise UsageError(f"{name} is not a mapping of names; give one class of the data a line, such as {EXAMPLE}.")
    return _unique(pairs, name)


def resolve(class_map: ClassMap, classes: Sequence[str] | None) -> dict[str, int]:
    """Class index by data class name. A target is a name in ``classes``, or else a class index."""
    index = {name: number for number, name in enumerate(classes or ())}
    resolved = {}
    for given, target in class_map.items():
        if str(target).isdecimal() and target not in index:
            resolved[given] = int(target)
        elif isinstance(target, str) and target in index:
            resolved[given] = index[target]
        elif classes is None:
            raise UsageError(
                f"the class map sends {given!r} to {target!r}, and no class list says which output that is; pass the "
                f"model's class names with --classes, or give the index of the output."
            )
        else:
            raise UsageError(
                f"the class map sends {given!r} to {target!r}, which is not in the class list; give one of its "
                f"{len(classes)} names, or an index."
            )
        if classes is not None and resolved[given] >= len(classes):
            raise UsageError(
                f"the class map sends {given!r} to the index {target}, and the class list has {len(classes)} names, "
                f"0 to {len(classes) - 1}; give one of these."
            )
    return resolved


def _yaml_pairs(text: str) -> list[tuple[Any, Any]] | None:
    node = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        return None
    return [(_scalar(given), _scalar(target)) for given, target in node.value]


def _scalar(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _json_pairs(text: str) -> list[tuple[Any, Any]] | None:
    pairs = json.loads(text, object_pairs_hook=tuple)
    return list(pairs) if isinstance(pairs, tuple) else None


def _unique(pairs: Iterable[tuple[Any, Any]], name: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for given, target in pairs:
        if not isinstance(given, str) or not isinstance(target, str | int) or isinstance(target, bool):
            raise UsageError(f"{name} maps {given!r} to {target!r}; give names or indices, such as {EXAMPLE}.")
        if not given or target == "":
            raise UsageError(f"{name} maps {given!r} to nothing or nothing to {target!r}; give both names.")
        if given in found:
            raise UsageError(f"{name} maps {given!r} twice; give each class of the data one class of the model.")
        found[given] = target
    return found
