"""The parameters that many operations have."""

from typing import Annotated

from fastapi import Path, Query

from service.kit.file_source import Identity
from service.kit.pages import DEFAULT_LIMIT, LARGEST_LIMIT

Id = Annotated[Identity, Path()]
Limit = Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="items on a page")]
After = Annotated[str | None, Query(max_length=64, description="`next` of the page before")]

__all__ = ["DEFAULT_LIMIT", "After", "Id", "Limit"]
