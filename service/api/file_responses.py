"""Responses with stored bytes: whole, a range, or not modified."""

from fastapi import Request, Response
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from service.api.backend import Backend
from service.api.responses import DISPOSITION, ETAG, RANGES, Responses, problems, response
from service.errors import NotFoundError, RangeError, ServiceError

_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_HEADERS = ETAG | RANGES | DISPOSITION
_PART = {"Content-Range": {"schema": {"type": "string"}}}

GET_RESPONSES: Responses = (
    response(200, "The bytes", None, _HEADERS, _BYTES)
    | response(206, "The requested range", None, _HEADERS | _PART, _BYTES)
    | response(304, "Not modified: If-None-Match names it", None, ETAG)
    | problems(400, 404, 416, 422)
)
HEAD_RESPONSES: Responses = {
    status: {name: part for name, part in described.items() if name != "content"}
    for status, described in GET_RESPONSES.items()
}


class BlobResponse(FileResponse):
    """The bytes of a blob, with support for Range and If-Range."""

    chunk_size = 2**20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the bytes; raises RangeError for a range that cannot be satisfied."""

        async def checked_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 416:
                total = self.headers["content-length"]
                raise RangeError(
                    f"Range asks for bytes beyond the file's {total}.",
                    headers={"Content-Range": f"bytes */{total}"},
                )
            if message["type"] == "http.response.start" and message["status"] == 400:
                raise ServiceError("Range is not valid; write it as in bytes=0-1023, or leave it out.")
            await send(message)

        await super().__call__(scope, receive, checked_send)


def file_response(request: Request, backend: Backend, sha256: str, name: str, media_type: str) -> Response:
    """The blob as a file called ``name``; raises NotFoundError where it was garbage-collected."""
    etag = f'"sha256:{sha256}"'
    if etag in _tags(request) or "*" in _tags(request):
        return Response(status_code=304, headers={"ETag": etag})
    path = backend.blobs.path(sha256)
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise NotFoundError(f"the blob sha256:{sha256} was garbage-collected; upload or compute it again.") from None
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    return BlobResponse(path, headers=headers, media_type=media_type, filename=name, stat_result=stat)


def _tags(request: Request) -> set[str]:
    """The tags in If-None-Match; weak tags are compared like strong ones."""
    given = request.headers.get("if-none-match", "").split(",")
    return {tag.strip().removeprefix("W/") for tag in given}
