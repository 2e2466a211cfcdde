"""Lists, newest first: identities grow with time."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Select, Table, select


def newest(table: Table, columns: Sequence[Column[Any]], *, after: str | None, limit: int) -> Select[Any]:
    """At most ``limit`` rows of ``table``, newest first, from behind the one with the identity ``after``."""
    wanted = select(*columns).order_by(table.c.id.desc()).limit(limit)
    return wanted if after is None else wanted.where(table.c.id < after)
