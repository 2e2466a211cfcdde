"""Cursor pagination of lists."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class Page(BaseModel, Generic[Item]):
    """A page of items; ``next`` is the cursor to pass as ``after`` for the next page."""

    model_config = ConfigDict(frozen=True)

    data: tuple[Item, ...]
    has_more: bool
    next: Annotated[str | None, Field(description="pass as `after` for the next page")] = None


def page(found: Sequence[Item], limit: int, cursor: Callable[[Item], str]) -> Page[Item]:
    """The page of the first ``limit`` items of ``found``, which was queried with ``limit + 1``.

    >>> page(["c", "b", "a"], 2, str)
    Page(data=('c', 'b'), has_more=True, next='b')
    """
    items = tuple(found[:limit])
    more = len(found) > limit
    return Page(data=items, has_more=more, next=cursor(items[-1]) if more else None)
