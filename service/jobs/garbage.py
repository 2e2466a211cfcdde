"""Garbage: uploads that expired, blobs that nothing refers to, and what interrupted work left behind."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, union

from service.db import Database
from service.db.tables import artifacts, blobs, datasets, models, trials, uploads
from service.jobs import idempotency
from service.storage import Blob, Blobs, Partials
from service.uploads import store

#: Younger files may be about to be referred to.
YOUNG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was removed, or would be."""

    uploads: tuple[str, ...]
    blobs: tuple[Blob, ...]
    leftovers: tuple[str, ...]
    idempotency_keys: int

    @property
    def bytes(self) -> int:
        """The size of the blobs."""
        return sum(blob.size for blob in self.blobs)


def collect(database: Database, stored: Blobs, partials: Partials, *, dry_run: bool) -> Garbage:
    """Remove the garbage, or with ``dry_run`` only say what it is; safe beside a running server and its workers."""
    with database.read() as connection:
        idle = set(partials.older_than(YOUNG_SECONDS))
        expired = tuple(each for each in store.expired(connection) if each in idle or partials.size(each) is None)
        orphans = tuple(sorted(idle - store.known(connection)))
        kept = _referenced(connection, except_uploads=expired)
        recorded = store.blobs_before(connection, time.time() - YOUNG_SECONDS)
        keys = idempotency.old(connection)
    candidates = sorted({*recorded, *stored.older_than(YOUNG_SECONDS)}, key=lambda blob: blob.sha256)
    candidates = [blob for blob in candidates if blob.sha256 not in kept]
    staged = tuple(stored.staged(YOUNG_SECONDS))
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
        idempotency.forget_old(connection)
    return Garbage(expired, tuple(blob for blob in candidates if _delete(database, stored, blob)), leftovers, keys)


def _delete(database: Database, stored: Blobs, blob: Blob) -> bool:
    """Delete the blob, unless it was referred to or stored again meanwhile."""
    with database.write() as connection:
        if blob.sha256 in _referenced(connection) or not stored.delete(blob.sha256, older_than=YOUNG_SECONDS):
            return False
        connection.execute(delete(blobs).where(blobs.c.sha256 == blob.sha256))
    return True


def _referenced(connection: Connection, except_uploads: tuple[str, ...] = ()) -> set[str]:
    """The blobs that something refers to."""
    columns = (models.c.blob, models.c.weights, datasets.c.blob, trials.c.blob, artifacts.c.blob)
    live = select(uploads.c.blob).where(uploads.c.id.not_in(except_uploads))
    return set(connection.scalars(union(live, *map(select, columns)))) - {None}
