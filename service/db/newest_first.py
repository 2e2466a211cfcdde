"""Lists, newest first: identities sort by creation time."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, select


def newest(table: Table, columns: Sequence[ColumnElement[Any]], *, after: str | None, limit: int) -> Select[Any]:
    """Select at most ``limit`` rows of ``table``, newest first, older than the one with the identity ``after``."""
    wanted = select(*columns).order_by(table.c.id.desc()).limit(limit)
    return wanted if after is None else wanted.where(table.c.id < after)
