"""Pages: a part of a list, newest first, and the cursor of the next part."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200


class Page(BaseModel, Generic[Item]):
    """Some of the items, whether there are more, and what to pass as ``after`` to get them."""

    model_config = ConfigDict(frozen=True)

    data: tuple[Item, ...]
    has_more: bool
    next: Annotated[str | None, Field(description="pass as `after` for the next page")] = None


def page(found: Sequence[Item], limit: int, cursor: Callable[[Item], str]) -> Page[Item]:
    """The page of the first ``limit`` of the items ``found``, of which one more was asked for.

    >>> page(["c", "b", "a"], 2, str)
    Page(data=('c', 'b'), has_more=True, next='b')
    """
    shown = tuple(found[:limit])
    more = len(found) > limit
    return Page(data=shown, has_more=more, next=cursor(shown[-1]) if more else None)
