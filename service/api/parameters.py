"""Parameters that several operations share."""

from typing import Annotated

from fastapi import Path, Query

from service.kit.file_source import Identity
from service.kit.pages import DEFAULT_LIMIT, MAX_LIMIT

Id = Annotated[Identity, Path()]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="items on a page")]
After = Annotated[str | None, Query(max_length=64, description="`next` of the previous page")]

__all__ = ["DEFAULT_LIMIT", "After", "Id", "Limit"]
