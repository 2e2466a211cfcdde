"""Garbage collection: expired uploads, unreferenced blobs and leftover files."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, union

from service.db import Database
from service.db.tables import artifacts, blobs, datasets, models, trials, uploads
from service.jobs import idempotency
from service.storage import Blob, Blobs, Partials
from service.uploads import store

#: Files are collected only at this age: a younger one may be referenced in a moment.
MIN_AGE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was deleted, or would be."""

    uploads: tuple[str, ...]
    blobs: tuple[Blob, ...]
    leftovers: tuple[str, ...]
    idempotency_keys: int

    @property
    def bytes(self) -> int:
        """The size of the blobs."""
        return sum(blob.size for blob in self.blobs)


def collect(database: Database, stored: Blobs, partials: Partials, *, dry_run: bool) -> Garbage:
    """Delete the garbage, or with ``dry_run`` only list it; safe while the server and its workers run."""
    with database.read() as connection:
        idle = set(partials.older_than(MIN_AGE_SECONDS))
        expired = tuple(each for each in store.expired(connection) if each in idle or partials.size(each) is None)
        orphans = tuple(sorted(idle - store.known(connection)))
        referenced = _referenced(connection, except_uploads=expired)
        recorded = store.blobs_before(connection, time.time() - MIN_AGE_SECONDS)
        keys = idempotency.count_expired(connection)
    candidates = sorted({*recorded, *stored.older_than(MIN_AGE_SECONDS)}, key=lambda blob: blob.sha256)
    candidates = [blob for blob in candidates if blob.sha256 not in referenced]
    staged = tuple(stored.staged(MIN_AGE_SECONDS))
    leftovers = (*orphans, *(path.name for path in staged))
    if dry_run:
        return Garbage(expired, tuple(candidates), leftovers, keys)
    for identity in (*expired, *orphans):
        partials.discard(identity)
        with database.write() as connection:
            store.remove(connection, identity)
    for path in staged:
        path.unlink(missing_ok=True)
    with database.write() as connection:
        idempotency.delete_expired(connection)
    return Garbage(expired, tuple(blob for blob in candidates if _delete(database, stored, blob)), leftovers, keys)


def _delete(database: Database, stored: Blobs, blob: Blob) -> bool:
    """Delete the blob, unless it was referenced or stored again in the meantime; whether it was deleted."""
    with database.write() as connection:
        if blob.sha256 in _referenced(connection) or not stored.delete(blob.sha256, older_than=MIN_AGE_SECONDS):
            return False
        connection.execute(delete(blobs).where(blobs.c.sha256 == blob.sha256))
    return True


def _referenced(connection: Connection, except_uploads: tuple[str, ...] = ()) -> set[str]:
    """The SHA-256 of every blob that a row refers to."""
    columns = (models.c.blob, models.c.weights, datasets.c.blob, trials.c.blob, artifacts.c.blob)
    live = select(uploads.c.blob).where(uploads.c.id.not_in(except_uploads))
    return set(connection.scalars(union(live, *map(select, columns)))) - {None}
