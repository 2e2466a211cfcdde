"""``/v1/uploads``: resumable uploads of files."""

from typing import Annotated

from fastapi import Header, Request, Response
from starlette.concurrency import run_in_threadpool

from service.api.backend import BackendDep
from service.api.parameters import Id
from service.api.responses import LOCATION, UPLOAD_LENGTH, UPLOAD_OFFSET, json_response, problems, response, router
from service.api.upload_body import MEDIA_TYPE, receive
from service.uploads import transfer
from service.uploads.resources import Upload, UploadRequest

uploads = router("/v1/uploads", "uploads")

_BODY = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}}
_OFFSET_HEADERS = UPLOAD_OFFSET | UPLOAD_LENGTH
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, le=2**63 - 1)]


@uploads.post(
    "",
    status_code=201,
    responses=response(201, "Created", Upload, LOCATION | UPLOAD_OFFSET) | problems(400, 413, 415, 422, 507),
)
def begin_upload(body: UploadRequest, backend: BackendDep) -> Response:
    """Create an upload; its bytes are sent with PATCH."""
    upload = transfer.create(backend.database, backend.partials, body, backend.settings)
    return json_response(upload, 201, {"Location": f"/v1/uploads/{upload.id}", "Upload-Offset": "0"})


@uploads.get("/{upload}", responses=response(200, "Its current state", Upload, _OFFSET_HEADERS) | problems(404, 422))
async def get_upload(upload: Id, backend: BackendDep) -> Response:
    """Read an upload."""
    found = transfer.status(backend.database, backend.partials, upload)
    return json_response(found, headers=_offsets(found))


@uploads.head(
    "/{upload}",
    response_class=Response,
    responses=response(200, "Its current state", None, _OFFSET_HEADERS) | problems(404, 422),
)
async def head_upload(upload: Id, backend: BackendDep) -> Response:
    """Read the offset and length of an upload."""
    return Response(headers=_offsets(transfer.status(backend.database, backend.partials, upload)))


@uploads.patch(
    "/{upload}",
    status_code=204,
    response_class=Response,
    openapi_extra=_BODY,
    responses=response(204, "Stored", None, UPLOAD_OFFSET) | problems(404, 409, 413, 415, 422, 507),
)
async def append_to_upload(upload: Id, request: Request, backend: BackendDep, offset: Offset) -> Response:
    """Send the next bytes. Bytes received before a connection breaks are stored; HEAD has the offset to resume from.

    With the last byte the upload becomes a blob, which GET names. If the server stopped before it made the blob, a
    request without bytes completes the upload.
    """
    new_offset = await receive(backend, upload, offset, request)
    return Response(status_code=204, headers={"Upload-Offset": str(new_offset)})


@uploads.delete(
    "/{upload}",
    status_code=204,
    response_class=Response,
    responses=response(204, "Deleted") | problems(404, 409, 422),
)
async def abort_upload(upload: Id, backend: BackendDep) -> Response:
    """Delete an upload; the blob of a complete one stays."""
    await run_in_threadpool(transfer.abort, backend.database, backend.partials, upload)
    return Response(status_code=204)


def _offsets(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.size), "Cache-Control": "no-store"}
