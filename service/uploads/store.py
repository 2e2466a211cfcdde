"""Uploads and blobs in the database."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from service.db.tables import blobs, uploads
from service.errors import ConflictError, InvalidError, NotFoundError
from service.kit.file_source import FileSource, StoredFile
from service.storage import Blob
from service.uploads.resources import UploadRequest


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload; ``blob`` is None until it is complete."""

    id: str
    name: str
    size: int
    sha256: str | None
    blob: str | None
    created_at: float
    expires_at: float


def add(connection: Connection, identity: str, request: UploadRequest, lifetime: float) -> None:
    """Create an upload, which expires after ``lifetime`` seconds."""
    now = time.time()
    connection.execute(
        insert(uploads).values(id=identity, **request.model_dump(), created_at=now, expires_at=now + lifetime)
    )


def get(connection: Connection, identity: str) -> UploadRow:
    """The upload; raises NotFoundError where there is none."""
    row = connection.execute(select(uploads).where(uploads.c.id == identity)).first()
    if row is None:
        raise NotFoundError(
            f"there is no upload {identity!r}; it may have expired. Create another with POST /v1/uploads."
        )
    return UploadRow(*row)


def complete(connection: Connection, identity: str, blob: Blob) -> None:
    """Mark the upload as complete, with its ``blob``."""
    record_blob(connection, blob)
    connection.execute(update(uploads).where(uploads.c.id == identity).values(blob=blob.sha256))


def remove(connection: Connection, identity: str) -> None:
    """Delete the upload."""
    connection.execute(delete(uploads).where(uploads.c.id == identity))


def expired(connection: Connection) -> list[str]:
    """The uploads that have expired."""
    return list(connection.scalars(select(uploads.c.id).where(uploads.c.expires_at < time.time())))


def known(connection: Connection) -> set[str]:
    """All uploads."""
    return set(connection.scalars(select(uploads.c.id)))


def record_blob(connection: Connection, blob: Blob) -> None:
    """Insert a stored blob, or set its time to now; recent blobs are not garbage-collected."""
    now = time.time()
    row = sqlite_insert(blobs).values(sha256=blob.sha256, size=blob.size, created_at=now)
    connection.execute(row.on_conflict_do_update(index_elements=["sha256"], set_={"created_at": now}))


def blobs_before(connection: Connection, moment: float) -> list[Blob]:
    """The blobs that were last stored before ``moment``."""
    found = connection.execute(select(blobs.c.sha256, blobs.c.size).where(blobs.c.created_at < moment))
    return [Blob(row.sha256, row.size) for row in found]


def blob_size(connection: Connection, sha256: str) -> int:
    """The size of the blob in bytes; raises NotFoundError where there is no such blob."""
    size: int | None = connection.scalar(select(blobs.c.size).where(blobs.c.sha256 == sha256))
    if size is None:
        raise NotFoundError(
            f"there is no blob sha256:{sha256}; it may have been garbage-collected. Upload the bytes again."
        )
    return size


def stored_file(connection: Connection, source: FileSource) -> StoredFile:
    """The file that a request names; raises InvalidError for an unknown, ConflictError for an incomplete one."""
    if source.upload is None:
        assert source.blob is not None, "FileSource has one of the two"
        assert source.file_name is not None, "FileSource has it with a blob"
        return StoredFile(_known_blob(connection, source.blob), source.file_name)
    row = connection.execute(select(uploads.c.blob, uploads.c.name).where(uploads.c.id == source.upload)).first()
    if row is None:
        raise InvalidError(
            f"there is no upload {source.upload!r}; it may have expired. Create another with POST /v1/uploads.",
            [("upload", "no such upload")],
        )
    if row.blob is None:
        raise ConflictError(f"the upload {source.upload!r} is not complete; send the rest of its bytes first.")
    return StoredFile(row.blob, row.name)


def _known_blob(connection: Connection, reference: str) -> str:
    sha256 = reference.removeprefix("sha256:")
    if connection.scalar(select(blobs.c.sha256).where(blobs.c.sha256 == sha256)) is None:
        raise InvalidError(
            f"there is no blob {reference}; upload the bytes with POST /v1/uploads.", [("blob", "no such blob")]
        )
    return sha256
