"""JSON bodies: bounded, of the right type, and readable in one way only."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.errors import MalformedError, MediaTypeError, TooLargeError

LARGEST_BODY = 2**20


class JsonRoute(APIRoute):
    """A route whose body, where it has one, is JSON that :func:`read_json` accepts."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given the body already read."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_json(request: Request) -> Response:
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type != "application/json":
                raise MediaTypeError(
                    f"the body is {content_type or 'of no type'}; send application/json, and say so in Content-Type."
                )
            return await handle(_Read(request, await _body(request)))

        return handle_json


class _Read(Request):
    """A request whose body was read."""

    def __init__(self, request: Request, body: bytes) -> None:
        super().__init__(request.scope, request.receive)
        self._content = body
        self._document = read_json(body)

    async def body(self) -> bytes:
        return self._content

    async def json(self) -> Any:
        return self._document


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLargeError(
                f"the body has more than {LARGEST_BODY} bytes; files are sent with POST and PATCH /v1/uploads."
            )
    return bytes(body)


def read_json(body: bytes) -> Any:
    """The document, which has one meaning: UTF-8, no name twice, no NaN and no infinity.

    >>> read_json(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    service.errors.MalformedError: the body is not proper JSON: the name 'a' stands twice in one object.
    """
    try:
        document = json.loads(body.decode(), object_pairs_hook=_once)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise MalformedError(f"the body is not proper JSON: {reason}.") from None
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands twice in one object")
    return document
