"""Receive the bytes of an upload: in constant memory, written in a thread, stored even if the connection breaks."""

import asyncio

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.api.backend import Backend
from service.errors import MediaTypeError
from service.storage import Partial
from service.uploads import transfer
from service.uploads.resources import Upload

MEDIA_TYPE = "application/offset+octet-stream"
BUFFER_BYTES = 4 * 2**20
#: After so long without a byte the request ends, so that another connection can resume the upload.
IDLE_TIMEOUT_SECONDS = 60.0


async def receive(backend: Backend, identity: str, offset: int, request: Request) -> int:
    """Append the body to the upload, whose offset must be ``offset``; the new offset."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise MediaTypeError(f"the bytes of an upload are sent as {MEDIA_TYPE}; set Content-Type to it.")
    upload = transfer.status(backend.database, backend.partials, identity)
    transfer.check_offset(upload, offset)
    transfer.check_size(upload, offset + int(request.headers.get("content-length", 0)))
    if upload.blob is not None:
        return await _reject_extra_bytes(upload, request)
    with backend.partials.lock(identity) as partial:
        transfer.check_offset(upload.model_copy(update={"offset": partial.size}), offset)
        await _append(upload, partial, request)
        await run_in_threadpool(transfer.complete, backend.database, backend.blobs, backend.partials, upload, partial)
        return partial.size


async def _append(upload: Upload, partial: Partial, request: Request) -> None:
    buffer, body = bytearray(), request.stream()
    try:
        while True:
            async with asyncio.timeout(IDLE_TIMEOUT_SECONDS):
                chunk = await anext(body, b"")
            if not chunk:
                return
            transfer.check_size(upload, partial.size + len(buffer) + len(chunk))
            buffer += chunk
            if len(buffer) >= BUFFER_BYTES:
                full, buffer = buffer, bytearray()
                await run_in_threadpool(partial.append, full)
    except (ClientDisconnect, TimeoutError):
        return
    finally:
        partial.append(buffer)


async def _reject_extra_bytes(upload: Upload, request: Request) -> int:
    """Raise TooLargeError for any byte sent to a complete upload; the offset, where none was sent."""
    async for chunk in request.stream():
        transfer.check_size(upload, upload.size + len(chunk))
    return upload.size
