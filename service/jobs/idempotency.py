"""Idempotency keys: a request that is sent again gets the job that it got the first time."""

import time

from sqlalchemy import Connection, delete, func, insert, select

from service.db.tables import idempotency_keys as keys
from service.errors import IdempotencyError

#: How long a key is remembered.
KEPT_SECONDS = 7 * 24 * 3600.0


def job_of(connection: Connection, key: str, request: str) -> str | None:
    """The job for which ``key`` was used; raises IdempotencyError where another request than the digest used it."""
    row = connection.execute(select(keys.c.request, keys.c.job).where(keys.c.key == key)).first()
    if row is None:
        return None
    if row.request != request:
        raise IdempotencyError(
            f"the Idempotency-Key {key!r} was used for another request, which became the job {row.job!r}; use a new "
            "key for each new request."
        )
    return str(row.job)


def remember(connection: Connection, key: str, request: str, job: str) -> None:
    """Note that ``key`` was used for the job."""
    connection.execute(insert(keys).values(key=key, request=request, job=job, created_at=time.time()))


def old(connection: Connection) -> int:
    """How many keys are older than they are kept."""
    return connection.scalar(select(func.count()).where(keys.c.created_at < time.time() - KEPT_SECONDS)) or 0


def forget_old(connection: Connection) -> None:
    """Forget the keys that are older than they are kept."""
    connection.execute(delete(keys).where(keys.c.created_at < time.time() - KEPT_SECONDS))
