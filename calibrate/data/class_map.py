"""The class map: which class of the model each class of the data is."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from calibrate.data.class_files import FIELDS, held_in, is_index, is_text, parse_document, read_text, short
from calibrate.data.class_list import indices_by_name
from calibrate.data.table import CsvTable
from calibrate.errors import UsageError

#: Data class name to model class name, or to model class index.
ClassMap = Mapping[str, str | int]

COLUMNS = ("data", "model")
EXAMPLE = "'tabby: cat'"
#: Where a document with more in it keeps the index of each name.
TO_INDEX = ("class_to_idx", "label2id")
#: An index of more digits is none of a model's outputs.
DIGITS = 9


def read_class_map(path: str | Path) -> dict[str, str | int]:
    """Read a class map: YAML or JSON, a mapping of names; or CSV with the columns ``data`` and ``model``.

    Everything is taken as text, as it is written; text that is no class name but a whole number is a class index. A
    mapping may also be a ``class_to_idx`` in a document with more, or ImageNet's index file.
    """
    place, name = Path(path), f"the class map {str(path)!r}"
    if place.suffix.lower() not in (".yaml", ".yml", ".json", ".csv"):
        raise UsageError(f"{name} is of no known kind; give a file that ends in .yaml, .json or .csv.")
    if place.suffix.lower() == ".csv":
        return _unique(((row.fields[0], row.fields[1]) for row in CsvTable(place, COLUMNS, name).rows()), name)
    wanted = f"a mapping of names, such as {EXAMPLE}"
    try:
        document = parse_document(read_text(place, name, wanted))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error) if "alias" in str(error) else ""
        raise UsageError(f"{name} is not a mapping of names{f': {reason}' if reason else ''}; give {wanted}.") from None
    pairs = _pairs(document)
    if (found := held_in(pairs, FIELDS)) is not None:
        field, held = found
        form = "a list of names" if isinstance(held, list) else "a mapping"
        raise UsageError(
            f"{name} holds {form} called {field}, which is a class list: the model's classes by index. Give it as "
            f"--classes; a class map says which class of the model each class of the data is, such as {EXAMPLE}."
        )
    if not pairs:
        raise UsageError(f"{name} is not a mapping of names; give one class of the data a line, such as {EXAMPLE}.")
    return _unique(pairs, name)


def _pairs(document: Any) -> list[tuple[Any, Any]]:
    """The pairs of a mapping of names, of one inside ``class_to_idx``, or of an index file's names, each to its index.

    >>> _pairs((("0", ["n01440764", "tench"]), ("1", ["n01443537", "goldfish"])))[:2]
    [('n01440764', 0), ('tench', 0)]
    """
    if not isinstance(document, tuple):
        return []
    if (found := held_in(document, TO_INDEX)) is not None and isinstance(found[1], tuple):
        return _pairs(found[1])
    if document and all(is_index(key) and isinstance(value, list) for key, value in document):
        return [(name, int(key)) for key, value in document for name in value]
    return [(str(key), value) for key, value in document]


def resolve(class_map: ClassMap, classes: Sequence[str] | None) -> dict[str, int]:
    """Class index by data class name. A target is a name in ``classes``, or else a class index."""
    index = indices_by_name(classes or ())
    resolved = {}
    for given, target in class_map.items():
        if str(target).isdecimal() and target not in index:
            if len(str(target)) > DIGITS:
                raise UsageError(f"the class map sends {given!r} to {target}, and no model has so many outputs.")
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


def _unique(pairs: Iterable[tuple[Any, Any]], name: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for given, target in pairs:
        if not isinstance(given, str) or not isinstance(target, str | int) or isinstance(target, bool):
            raise UsageError(
                f"{name} maps {short(given)} to {short(target)}; give names or indices, such as {EXAMPLE}."
            )
        if not is_text(f"{given}{target}"):
            raise UsageError(f"{name} maps {given!r} to {target!r}, of which one is no text; write it anew.")
        if not given or target == "":
            raise UsageError(f"{name} maps {given!r} to nothing or nothing to {target!r}; give both names.")
        if given in found:
            raise UsageError(f"{name} maps {given!r} twice; give each class of the data one class of the model.")
        found[given] = target
    return found
