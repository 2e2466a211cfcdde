"""Stored bytes as an answer: whole, in part, or not again."""

from fastapi import Request, Response
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from service.api.answers import DISPOSITION, ETAG, RANGES, Answers, answer, problems
from service.api.state import State
from service.errors import NotFoundError, RangeError, ServiceError

_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_HEADERS = ETAG | RANGES | DISPOSITION
_PART = {"Content-Range": {"schema": {"type": "string"}}}

GET_ANSWERS: Answers = (
    answer(200, "The bytes", None, _HEADERS, _BYTES)
    | answer(206, "Those that Range asked for", None, _HEADERS | _PART, _BYTES)
    | answer(304, "Those that If-None-Match names", None, ETAG)
    | problems(400, 404, 416, 422)
)
HEAD_ANSWERS: Answers = {
    status: {name: part for name, part in said.items() if name != "content"} for status, said in GET_ANSWERS.items()
}


class StoredFile(FileResponse):
    """A file's bytes, by HTTP's rules for Range and If-Range."""

    chunk_size = 2**20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; a Range that cannot be satisfied is a problem like any other."""

        async def checked_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 416:
                total = self.headers["content-length"]
                raise RangeError(
                    f"Range asks for bytes beyond the {total} that there are.",
                    headers={"Content-Range": f"bytes */{total}"},
                )
            if message["type"] == "http.response.start" and message["status"] == 400:
                raise ServiceError("Range is not one that can be read; write it as in bytes=0-1023, or leave it out.")
            await send(message)

        await super().__call__(scope, receive, checked_send)


def file_response(request: Request, kept: State, sha256: str, name: str, media_type: str) -> Response:
    """The blob as a file ``name``; raises NotFoundError where its bytes are gone."""
    etag = f'"sha256:{sha256}"'
    if etag in _tags(request) or "*" in _tags(request):
        return Response(status_code=304, headers={"ETag": etag})
    path = kept.blobs.path(sha256)
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise NotFoundError(f"the blob sha256:{sha256} has been collected; upload or compute it again.") from None
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    return StoredFile(path, headers=headers, media_type=media_type, filename=name, stat_result=stat)


def _tags(request: Request) -> set[str]:
    """What If-None-Match names; weak tags compare like strong ones."""
    given = request.headers.get("if-none-match", "").split(",")
    return {tag.strip().removeprefix("W/") for tag in given}
