"""The parameters of lists."""

from typing import Annotated

from fastapi import Query

from service.kit.page import DEFAULT_LIMIT, LARGEST_LIMIT

Limit = Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="items on a page")]
After = Annotated[str | None, Query(max_length=64, description="`next` of the page before")]

__all__ = ["DEFAULT_LIMIT", "After", "Limit"]
