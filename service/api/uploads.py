"""``/v1/uploads``: files that arrive in parts."""

from typing import Annotated

from fastapi import Header, Request, Response
from starlette.concurrency import run_in_threadpool

from service.api.answers import LOCATION, UPLOAD_LENGTH, UPLOAD_OFFSET, answer, json_response, problems, router
from service.api.parameters import Id
from service.api.receiving import MEDIA_TYPE, receive
from service.api.state import Kept
from service.uploads import transfer
from service.uploads.resources import Upload, UploadRequest

uploads = router("/v1/uploads", "uploads")

_BODY = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}}
_STANDS = UPLOAD_OFFSET | UPLOAD_LENGTH
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, le=2**63 - 1)]


@uploads.post(
    "",
    status_code=201,
    responses=answer(201, "Begun", Upload, LOCATION | UPLOAD_OFFSET) | problems(400, 413, 415, 422, 507),
)
def begin_upload(body: UploadRequest, kept: Kept) -> Response:
    """Announce a file, then send its bytes with PATCH."""
    upload = transfer.begin(kept.database, kept.partials, body, kept.settings)
    return json_response(upload, 201, {"Location": f"/v1/uploads/{upload.id}", "Upload-Offset": "0"})


@uploads.get("/{upload}", responses=answer(200, "As it stands", Upload, _STANDS) | problems(404, 422))
async def get_upload(upload: Id, kept: Kept) -> Response:
    """Say how an upload stands."""
    found = transfer.stands(kept.database, kept.partials, upload)
    return json_response(found, headers=_offsets(found))


@uploads.head(
    "/{upload}", response_class=Response, responses=answer(200, "As it stands", None, _STANDS) | problems(404, 422)
)
async def head_upload(upload: Id, kept: Kept) -> Response:
    """Say in headers how an upload stands."""
    return Response(headers=_offsets(transfer.stands(kept.database, kept.partials, upload)))


@uploads.patch(
    "/{upload}",
    status_code=204,
    response_class=Response,
    openapi_extra=_BODY,
    responses=answer(204, "Kept", None, UPLOAD_OFFSET) | problems(404, 409, 413, 415, 422, 507),
)
async def append_to_upload(upload: Id, request: Request, kept: Kept, offset: Offset) -> Response:
    """Send the next bytes. What arrives before a connection breaks is kept; HEAD says where to go on.

    With the last byte the upload becomes a blob, which GET names. If there is none though all bytes have arrived,
    because the server stopped at that moment, sending no bytes completes it.
    """
    arrived = await receive(kept, upload, offset, request)
    return Response(status_code=204, headers={"Upload-Offset": str(arrived)})


@uploads.delete(
    "/{upload}", status_code=204, response_class=Response, responses=answer(204, "Forgotten") | problems(404, 409, 422)
)
async def abort_upload(upload: Id, kept: Kept) -> Response:
    """Forget an upload; what it became, if it was complete, stays."""
    await run_in_threadpool(transfer.abort, kept.database, kept.partials, upload)
    return Response(status_code=204)


def _offsets(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.size), "Cache-Control": "no-store"}
