"""Idempotency keys: a request that is repeated with its key returns the same job."""

import time

from sqlalchemy import Connection, delete, func, insert, select

from service.db.tables import idempotency_keys as keys
from service.errors import IdempotencyError

#: How long a key is stored.
RETENTION_SECONDS = 7 * 24 * 3600.0


def job_of(connection: Connection, key: str, request: str) -> str | None:
    """The job of ``key``, or None; raises IdempotencyError where the key was used with another request digest."""
    row = connection.execute(select(keys.c.request, keys.c.job).where(keys.c.key == key)).first()
    if row is None:
        return None
    if row.request != request:
        raise IdempotencyError(
            f"the Idempotency-Key {key!r} was used for another request, which became the job {row.job!r}; use a new "
            "key for each new request."
        )
    return str(row.job)


def store_key(connection: Connection, key: str, request: str, job: str) -> None:
    """Store ``key`` with the digest of its request and its job."""
    connection.execute(insert(keys).values(key=key, request=request, job=job, created_at=time.time()))


def count_expired(connection: Connection) -> int:
    """How many keys are past their retention."""
    return connection.scalar(select(func.count()).where(keys.c.created_at < time.time() - RETENTION_SECONDS)) or 0


def delete_expired(connection: Connection) -> None:
    """Delete the keys that are past their retention."""
    connection.execute(delete(keys).where(keys.c.created_at < time.time() - RETENTION_SECONDS))
