"""YAML or JSON text as a plain value, in which no key may stand twice (their readers let the last one win)."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import yaml


def plain(text: str) -> Any:
    r"""The value of ``text``; a ValueError or a YAMLError says what is wrong with it.

    JSON first: YAML should contain it, but PyYAML refuses tabs and splits characters written as two escapes. A key that
    YAML 1.1 takes for a truth value (``on``, ``no``) is text here.

    >>> plain("a: 1\nb: 2\na: 3")
    Traceback (most recent call last):
    ...
    ValueError: the key 'a' stands twice in one mapping; keep one
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)


_TRUTH_VALUE = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        _refuse_twice(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, _ in node.value:
            if key.tag == _TRUTH_VALUE:
                key.tag = self.DEFAULT_SCALAR_TAG
        return node


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice(key for key, _ in pairs)
    return dict(pairs)


def _refuse_twice(keys: Iterable[str]) -> None:
    for key, times in Counter(keys).items():
        if times > 1:
            raise ValueError(f"the key {key!r} stands twice in one mapping; keep one")
