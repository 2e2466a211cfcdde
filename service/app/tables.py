"""Output of resources: tables of text, or JSON."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel

from calibrate.cli.console import say

Item = TypeVar("Item", bound=BaseModel)


def show(item: BaseModel) -> None:
    """Print a resource as JSON."""
    say(item.model_dump_json(indent=2))


def show_all(items: Iterable[Item], row: Callable[[Item], Sequence[object]], as_json: bool) -> None:
    """Print a table with the columns of ``row``, one line for each item, or all items as a JSON list."""
    found = list(items)
    if as_json:
        say(json.dumps([item.model_dump(mode="json") for item in found], indent=2))
        return
    rows = [["–" if cell is None else str(cell) for cell in row(item)] for item in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
