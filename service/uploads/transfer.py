"""Create, complete and abort uploads; these functions block on disk I/O."""

from dataclasses import asdict

from service.db import Database
from service.errors import ChecksumError, OffsetError, TooLargeError
from service.kit.file_source import reference
from service.kit.ids import new_id
from service.settings import Settings
from service.storage import Blobs, Partial, Partials
from service.uploads import store
from service.uploads.resources import Upload, UploadRequest


def create(database: Database, partials: Partials, request: UploadRequest, settings: Settings) -> Upload:
    """Create an upload; raises TooLargeError for a file larger than the server accepts."""
    if request.size > settings.upload_bytes:
        raise TooLargeError(
            f"the file has {request.size} bytes, and this server accepts {settings.upload_bytes}; upload a smaller one."
        )
    identity = new_id("upl")
    with database.write() as connection:
        store.add(connection, identity, request, settings.upload_hours * 3600)
        partials.create(identity)
    return status(database, partials, identity)


def status(database: Database, partials: Partials, identity: str) -> Upload:
    """The upload and its offset; raises NotFoundError where there is no such upload."""
    # The order matters: the file is deleted after the row names the blob, so where it is gone, the row has the blob.
    received = partials.size(identity) or 0
    with database.read() as connection:
        row = store.get(connection, identity)
    return Upload.model_validate(
        asdict(row)
        | {
            "offset": received if row.blob is None else row.size,
            "blob": None if row.blob is None else reference(row.blob),
        }
    )


def check_offset(upload: Upload, offset: int) -> None:
    """Raise OffsetError where the upload's offset is not ``offset``."""
    if offset != upload.offset:
        raise OffsetError(
            f"the upload {upload.id!r} is at offset {upload.offset}, and the request starts at {offset}; send the "
            f"bytes from {upload.offset} on.",
            headers={"Upload-Offset": str(upload.offset)},
        )


def check_size(upload: Upload, size: int) -> None:
    """Raise TooLargeError where ``size`` bytes are more than the upload's size."""
    if size > upload.size:
        raise TooLargeError(
            f"the upload {upload.id!r} was created with {upload.size} bytes, and more were sent; create another "
            "upload with the right size."
        )


def complete(database: Database, blobs: Blobs, partials: Partials, upload: Upload, partial: Partial) -> None:
    """Make a blob of a locked upload, if all its bytes were received.

    On a wrong SHA-256 the bytes are discarded, so that they can be sent again. If the server dies in here, the upload
    has all its bytes and no blob; an append without bytes completes it.
    """
    if partial.size < upload.size:
        return
    try:
        blob = blobs.link(partial.path, expected=upload.sha256)
    except ChecksumError as error:
        partial.clear()
        raise ChecksumError(
            f"{str(error).removesuffix('.')}; the bytes were discarded. Send them again from offset 0.",
            [("sha256", "the bytes have another SHA-256")],
            {"Upload-Offset": "0"},
        ) from None
    with database.write() as connection:
        store.complete(connection, upload.id, blob)
    partials.discard(upload.id)


def abort(database: Database, partials: Partials, identity: str) -> None:
    """Delete the upload; the blob of a complete one stays."""
    upload = status(database, partials, identity)
    if upload.blob is None:
        with partials.lock(identity):
            partials.discard(identity)
    with database.write() as connection:
        store.remove(connection, identity)
