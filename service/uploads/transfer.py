"""The life of an upload: begun, appended to, completed or aborted. What it does waits for the disk."""

from dataclasses import asdict

from service.db import Database
from service.errors import ChecksumError, OffsetError, TooLargeError
from service.kit.file_source import reference
from service.kit.ids import new_id
from service.settings import Settings
from service.storage import Blobs, Partial, Partials
from service.uploads import store
from service.uploads.resources import Upload, UploadRequest


def begin(database: Database, partials: Partials, request: UploadRequest, settings: Settings) -> Upload:
    """A new upload of no bytes yet; raises TooLargeError where the server takes no file so large."""
    if request.size > settings.upload_bytes:
        raise TooLargeError(
            f"the file has {request.size} bytes, and this server takes {settings.upload_bytes}; upload a smaller one."
        )
    identity = new_id("upl")
    with database.write() as connection:
        store.add(connection, identity, request, settings.upload_hours * 3600)
        partials.create(identity)
    return stands(database, partials, identity)


def stands(database: Database, partials: Partials, identity: str) -> Upload:
    """The upload as it stands; raises NotFoundError where there is none."""
    # In this order: the file of an upload goes when its row names the blob, so a file that is gone has a row that does.
    arrived = partials.size(identity) or 0
    with database.read() as connection:
        row = store.get(connection, identity)
    return Upload.model_validate(
        asdict(row)
        | {
            "offset": arrived if row.blob is None else row.size,
            "blob": None if row.blob is None else reference(row.blob),
        }
    )


def check_offset(upload: Upload, offset: int) -> None:
    """Raise OffsetError where the upload does not stand at ``offset``."""
    if offset != upload.offset:
        raise OffsetError(
            f"the upload {upload.id!r} stands at {upload.offset}, and the bytes sent begin at {offset}; send the rest "
            f"from {upload.offset} on.",
            headers={"Upload-Offset": str(upload.offset)},
        )


def check_room(upload: Upload, size: int) -> None:
    """Raise TooLargeError where the upload cannot be of ``size`` bytes."""
    if size > upload.size:
        raise TooLargeError(
            f"the upload {upload.id!r} was announced with {upload.size} bytes, and more were sent; begin another "
            "upload with the right size."
        )


def complete(database: Database, blobs: Blobs, partials: Partials, upload: Upload, partial: Partial) -> None:
    """Make the bytes of a held upload a blob, if all have arrived.

    Bytes that are not those that were announced are thrown away, so that they can be sent again. If the server dies in
    here, the upload stands at its end without a blob, and appending nothing completes it.
    """
    if partial.size < upload.size:
        return
    try:
        blob = blobs.link(partial.path, expected=upload.sha256)
    except ChecksumError as error:
        partial.clear()
        raise ChecksumError(
            f"{str(error).removesuffix('.')}; the bytes were thrown away. Send them again from offset 0.",
            [("sha256", "the bytes have another SHA-256")],
            {"Upload-Offset": "0"},
        ) from None
    with database.write() as connection:
        store.complete(connection, upload.id, blob)
    partials.discard(upload.id)


def abort(database: Database, partials: Partials, identity: str) -> None:
    """Forget the upload; the blob that it became, if it was complete, stays."""
    upload = stands(database, partials, identity)
    if upload.blob is None:
        with partials.hold(identity):
            partials.discard(identity)
    with database.write() as connection:
        store.remove(connection, identity)
