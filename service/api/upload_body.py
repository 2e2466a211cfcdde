"""Receiving an upload's bytes: in flat memory, written beside the event loop, kept whatever breaks."""

import asyncio

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.api.state import State
from service.errors import MediaTypeError
from service.storage import Partial
from service.uploads import transfer
from service.uploads.resources import Upload

MEDIA_TYPE = "application/offset+octet-stream"
BUFFER_BYTES = 4 * 2**20
#: A client that sends nothing for so long is taken for gone, so that another connection can go on.
SILENT_SECONDS = 60.0


async def receive(kept: State, identity: str, offset: int, request: Request) -> int:
    """Append the body to the upload, which stands at ``offset``; where it stands afterwards."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise MediaTypeError(f"the bytes of an upload are sent as {MEDIA_TYPE}; say so in Content-Type.")
    upload = transfer.stands(kept.database, kept.partials, identity)
    transfer.check_offset(upload, offset)
    transfer.check_room(upload, offset + int(request.headers.get("content-length", 0)))
    if upload.blob is not None:
        return await _refuse_more(upload, request)
    with kept.partials.hold(identity) as partial:
        transfer.check_offset(upload.model_copy(update={"offset": partial.size}), offset)
        await _append(upload, partial, request)
        await run_in_threadpool(transfer.complete, kept.database, kept.blobs, kept.partials, upload, partial)
        return partial.size


async def _append(upload: Upload, partial: Partial, request: Request) -> None:
    buffer, body = bytearray(), request.stream()
    try:
        while True:
            async with asyncio.timeout(SILENT_SECONDS):
                chunk = await anext(body, b"")
            if not chunk:
                return
            transfer.check_room(upload, partial.size + len(buffer) + len(chunk))
            buffer += chunk
            if len(buffer) >= BUFFER_BYTES:
                full, buffer = buffer, bytearray()
                await run_in_threadpool(partial.append, full)
    except (ClientDisconnect, TimeoutError):
        return
    finally:
        partial.append(buffer)


async def _refuse_more(upload: Upload, request: Request) -> int:
    """A complete upload takes nothing more; nothing is what it may be sent."""
    async for chunk in request.stream():
        transfer.check_room(upload, upload.size + len(chunk))
    return upload.size
