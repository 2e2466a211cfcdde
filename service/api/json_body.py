"""JSON request bodies: limited in size, with the right content type, and unambiguous."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.errors import MalformedError, MediaTypeError, TooLargeError

MAX_BODY_BYTES = 2**20


class JsonRoute(APIRoute):
    """A route that parses its JSON body, if it has one, with :func:`read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, called with the parsed body."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_json(request: Request) -> Response:
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type != "application/json":
                raise MediaTypeError(
                    f"the body is {content_type or 'of no type'}; send JSON with Content-Type application/json."
                )
            return await handle(_ParsedRequest(request, await _body(request)))

        return handle_json


class _ParsedRequest(Request):
    """A request whose body was read and parsed."""

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
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(
                f"the body has more than {MAX_BODY_BYTES} bytes; files are sent with POST and PATCH /v1/uploads."
            )
    return bytes(body)


def read_json(body: bytes) -> Any:
    """Parse strict JSON: UTF-8, without duplicate names, NaN or infinity.

    >>> read_json(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    service.errors.MalformedError: the body is not valid JSON: the name 'a' is duplicated in one object.
    """
    try:
        document = json.loads(body.decode(), object_pairs_hook=_no_duplicates)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise MalformedError(f"the body is not valid JSON: {reason}.") from None
    return document


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {duplicate!r} is duplicated in one object")
    return document
