"""The files in which people keep class lists: text, JSON and YAML, told apart by their content."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from calibrate.data.class_list import ClassList, check_classes
from calibrate.errors import UsageError, require_kind

#: The most bytes a class list or class map may have: a million names of 16 letters.
MAX_LIST_BYTES = 16 * 2**20
#: Where a document with more in it keeps the classes: torchvision's and Hugging Face's mappings, timm's and YOLO's.
FIELDS = (
    *("id2label", "label2id", "label_names", "class_to_idx", "idx_to_class", "class_names", "names", "classes"),
    *("labels", "categories"),
)
#: Of these, what maps names to indexes, and indexes to names.
TO_INDEX, TO_NAME = ("label2id", "class_to_idx"), ("id2label", "idx_to_class", "names")
ACCEPTED = (
    "a text file with one class name per line, alone or with its index; JSON or YAML with a list of names or records "
    "with id and name, a mapping of names to indexes (class_to_idx), of indexes to names (id2label) or to "
    "[synset, word], or with one of these as names, classes, categories, class_to_idx or id2label"
)
_INDEX_FIRST = re.compile(r"(?P<index>[0-9]{1,9})\s*[:=,;\s]\s*(?P<name>[^-:=,;\s].*)")
_INDEX_LAST = re.compile(r"(?P<name>\S.*?)\s*[:=,;\s]\s*(?P<index>[0-9]{1,9})")
_SYNSET = re.compile(r"(n\d{8})\s+(\S.*)")
_FIELD = re.compile(rf"({'|'.join(FIELDS)}):(\s|$)")
_ITEM, _OF_INDEX, _TO_INDEX = (
    re.compile(text) for text in (r"-\s+\S", r"[\"']?\d+[\"']?\s*:\s+\S", r".*\S\s*:\s+\d+$")
)

#: One class of a list: its name, and further names.
Names = Sequence[str]
#: The pairs of a mapping, in their order. JSON and YAML readers would let the last of equal keys win.
Pairs = tuple[tuple[Any, Any], ...]


def read_classes(path: str | Path) -> ClassList:
    """Read the class list in a file: one name per line, JSON, or YAML; which of them is told by its content.

    Indexes must be 0 … K − 1, each once; lines such as ``0 cat`` that are not so numbered are names as they are. Blank
    lines at the end of a text are ignored.
    """
    require_kind(path, (str, Path), "path", "the path of a file with the model's class names")
    name = f"the class list {str(path)!r}"
    text = read_text(Path(path), name, ACCEPTED)
    if not is_document(text, Path(path).suffix):
        lines = [line.strip() for line in text.rstrip().split("\n")]
        synsets = [_SYNSET.fullmatch(line) for line in lines]
        if all(synsets):
            return _checked([found.groups() for found in synsets if found], name, "line")
        return _checked(_numbered(lines, name) or [(line,) for line in lines], name, "line")
    try:
        document = parse_document(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise UsageError(f"{name} cannot be read as JSON or YAML: {reason}. Give {ACCEPTED}.") from None
    return _checked(_classes(document, name), name, "place")


def _numbered(lines: Sequence[str], name: str) -> list[Names] | None:
    r"""The classes of lines that each hold a name and its index, in either order; None where they do not.

    The indexes are 0 … K − 1, each once, and no name stands twice: ``room 0``, ``room 1`` are names. The whole line is
    a further name of the class.

    >>> _numbered(["1\tdog", "0\tcat"], "the list"), _numbered(["room 0", "room 1"], "the list")
    ([('cat', '0\tcat'), ('dog', '1\tdog')], None)
    """
    readings = []
    for form in (_INDEX_FIRST, _INDEX_LAST):
        found = [form.fullmatch(line) for line in lines]
        by_index = {int(match["index"]): (match["name"], match[0]) for match in found if match}
        names = {called for called, _ in by_index.values()}
        if all(found) and by_index.keys() == set(range(len(lines))) and len(names) == len(lines):
            readings.append([by_index[index] for index in range(len(lines))])
    if len(readings) > 1 and readings[0] != readings[1]:
        raise UsageError(_numbers_to_numbers(name))
    return list(readings[0]) if readings else None


def _numbers_to_numbers(name: str) -> str:
    return (
        f"{name} maps numbers to numbers, and does not say which are names and which are indexes; give the names as a "
        "list, in the order of the model's outputs, or put the mapping under id2label or class_to_idx."
    )


def classes_of(indexes: Mapping[str, int]) -> ClassList:
    """The class list of a mapping of names to indexes, such as ``class_to_idx`` of a data set.

    >>> classes_of({"dog": 1, "cat": 0})
    ('cat', 'dog')
    """
    name = "the class list"
    return _checked(_by_index(tuple(indexes.items()), name), name, "place")


def read_text(path: Path, name: str, accepted: str) -> str:
    """The text of a file that a person wrote; errors call it ``name`` and say what is ``accepted``."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
        if len(content) > MAX_LIST_BYTES:
            raise UsageError(f"{name} is larger than {MAX_LIST_BYTES // 2**20} MiB, which no list of classes is.")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{name} cannot be read: {reason}. Give {accepted}.") from None


def is_text(value: str) -> bool:
    """Whether a text can be written: JSON may hold half of a character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def is_document(text: str, suffix: str = "") -> bool:
    r"""Whether a text is JSON or YAML, and no list of one name per line.

    >>> [is_document(text) for text in ('{"cat": 0}', "- cat\n- dog", "0: cat\n1: dog", "cat\nsea: horse")]
    [True, True, True, False]
    """
    text = text.strip()
    if suffix.lower() in (".json", ".yaml", ".yml") or (text[:1], text[-1:]) in (("{", "}"), ("[", "]")):
        return True
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith(("#", "---"))]
    if any(_FIELD.match(line) for line in lines):
        return True
    return bool(lines) and any(all(form.match(line) for line in lines) for form in (_ITEM, _OF_INDEX, _TO_INDEX))


def parse_document(text: str) -> Any:
    """JSON or YAML as lists, texts and numbers; a mapping is its pairs in a tuple.

    Of YAML every scalar is text as it is written, but whole numbers in plain digits. Aliases, which can make a small
    file endless, are refused.
    """
    try:
        return json.loads(text, object_pairs_hook=tuple)
    except json.JSONDecodeError:
        node = yaml.compose(text, _WithoutAliases)
    return None if node is None else _plain(node)


class _WithoutAliases(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has an alias (*); write out what it stands for")
        return super().compose_node(parent, index)


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return tuple((_plain(key), _plain(value)) for key, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    text = str(node.value)
    is_number = isinstance(node, yaml.ScalarNode) and node.style is None and re.fullmatch("0|[1-9][0-9]{0,8}", text)
    return int(text) if is_number else text


def _classes(document: Any, name: str) -> list[Names]:
    """Each class's names, in the order of the outputs."""
    if isinstance(document, tuple):
        if (found := held_in(document, FIELDS)) is not None:
            field, held = found
            within = f"{field} in {name}"
            return _by_index(held, within, field) if isinstance(held, tuple) else _classes(held, within)
        return _by_index(document, name)
    if isinstance(document, list):
        records = [_record(item) for item in document]
        if records and all(record is not None for record in records):
            return _by_index(tuple(record for record in records if record is not None), name, "id2label")
        return [_names(item, name) for item in document]
    raise UsageError(f"{name} is neither a list nor a mapping; give {ACCEPTED}.")


def _record(item: Any) -> tuple[Any, Any] | None:
    """The id and the name in one of COCO's categories, ``{"id": 0, "name": "cat"}``; None for anything else."""
    fields = dict(item) if isinstance(item, tuple) and all(isinstance(key, str) for key, _ in item) else {}
    return (fields["id"], fields["name"]) if is_index(fields.get("id")) and "name" in fields else None


def held_in(document: Sequence[tuple[Any, Any]], fields: Iterable[str]) -> tuple[str, Any] | None:
    """The first of the ``fields`` in which a document with more in it holds a list or mapping, and that; else None.

    >>> held_in((("task", "pets"), ("names", ["cat", "dog"])), FIELDS)
    ('names', ['cat', 'dog'])
    """
    for field in fields:
        for key, value in document:
            if key == field and isinstance(value, tuple | list) and value:
                return field, value
    return None


def _by_index(pairs: Pairs, name: str, field: str = "") -> list[Names]:
    """The classes of a mapping of names to indexes, or of indexes to names; what the ``field`` it lies in is tells.

    A mapping of text to integers is one of names, as JSON has no other keys; other numbers may be either.
    """
    indexed: list[tuple[int, Names]]
    by_key = all(is_index(key) for key, _ in pairs) and field not in TO_INDEX
    by_value = all(is_index(value) for _, value in pairs) and field not in TO_NAME
    if by_key and by_value and field == "" and all(isinstance(k, str) and isinstance(v, int) for k, v in pairs):
        by_key = False
    if by_key and by_value and any(int(key) != int(value) for key, value in pairs):
        raise UsageError(_numbers_to_numbers(name))
    if by_key:
        indexed = [(int(key), _names(value, name)) for key, value in pairs]
    elif by_value:
        indexed = [(int(value), (str(key),)) for key, value in pairs]
    else:
        wrong = [pair for place in (0, 1) if (pair := next((own for own in pairs if not is_index(own[place])), None))]
        shown = " and ".join(f"{key!r} to {short(value)}" for key, value in dict(wrong).items())
        raise UsageError(
            f"{name} maps {shown}, where either all keys or all values must be the class's index; give {ACCEPTED}."
        )
    found: dict[int, Names] = {}
    for index, names in indexed:
        if index in found:
            raise UsageError(
                f"{name} gives the index {index} to {found[index][0]!r} and to {names[0]!r}; give each output one name."
            )
        found[index] = names
    for index in range(len(found)):
        if index not in found:
            raise UsageError(
                f"{name} has {len(found)} classes, and none of them has the index {index}; give the indexes 0 to "
                f"{len(found) - 1}, each once, in the order of the model's outputs."
            )
    return [found[index] for index in range(len(found))]


def is_index(value: Any) -> bool:
    """Whether a key or value is a class index: a whole number, or digits in quotes."""
    return (isinstance(value, int) and not isinstance(value, bool)) or _is_digits(value)


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) is not None


def _names(item: Any, name: str) -> Names:
    """The names of one class: a text, or a list of them such as [synset, word]."""
    if isinstance(item, list) and item and all(isinstance(part, str) and part.strip() for part in item):
        return tuple(part.strip() for part in item)
    if isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool)):
        return (str(item).strip(),)
    raise UsageError(f"{name} has {short(item)} where a class's name is wanted; give {ACCEPTED}.")


def short(value: Any) -> str:
    """A value of a document, as an error shows it."""
    text = "a mapping" if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _checked(classes: Sequence[Names], name: str, place: str) -> ClassList:
    for names in classes:
        for text in names:
            if not is_text(text):
                raise UsageError(
                    f"{name} has the name {text!r}, which is no text (half of a character); write it anew."
                )
    made = ClassList.of_synonyms(classes)
    check_classes(made, name, place)
    return made
