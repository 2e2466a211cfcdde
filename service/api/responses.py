"""What operations answer, and how the OpenAPI document says so."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.api.json_body import JsonRoute
from service.kit.problem import MEDIA_TYPE

Answers = dict[int | str, dict[str, Any]]

_TEXT = {"schema": {"type": "string"}}
_NUMBER = {"schema": {"type": "integer", "minimum": 0}}
LOCATION = {"Location": {"description": "Path of what was made", **_TEXT}}
UPLOAD_OFFSET = {"Upload-Offset": {"description": "Bytes that have arrived", **_NUMBER}}
UPLOAD_LENGTH = {"Upload-Length": {"description": "Bytes that are to arrive", **_NUMBER}}
ETAG = {"ETag": {"description": "The SHA-256, in quotes", **_TEXT}}
RANGES = {"Accept-Ranges": _TEXT, "Content-Length": _NUMBER}
DISPOSITION = {"Content-Disposition": {"description": "The file's name", **_TEXT}}
_REQUEST_ID = {"X-Request-ID": {"description": "The client's own, or a new one", **_TEXT}}
_RETRY = {"Retry-After": {"description": "Seconds to wait", **_NUMBER}}

_PROBLEMS: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    400: ("The body is not proper JSON, or a header not proper HTTP", {}),
    404: ("There is no such thing", {}),
    409: ("The present state forbids it", _RETRY),
    413: ("Too many bytes", {}),
    415: ("The body has the wrong media type", {}),
    416: ("There are no such bytes", {"Content-Range": _TEXT}),
    422: ("The request breaks a rule; `errors` has the path of each field at fault", {}),
    500: ("The server failed", {}),
    503: ("Not now", _RETRY),
    507: ("The disk is full", {}),
}


def router(path: str, tag: str) -> APIRouter:
    """The router of a resource; operations are known by the names of their functions."""
    return APIRouter(prefix=path, tags=[tag], route_class=JsonRoute, generate_unique_id_function=_name)


def problems(*statuses: int) -> Answers:
    """The answers of an operation that can end with these problems, or with those that every operation can."""
    answers: Answers = {}
    for status in sorted({*statuses, 500, 503}):
        description, headers = _PROBLEMS[status]
        schema = {"$ref": "#/components/schemas/Problem"}
        answers[status] = {
            "description": description,
            "headers": {**_REQUEST_ID, **headers},
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
    return answers


def answer(
    status: int,
    description: str,
    model: Any = None,
    headers: Mapping[str, Any] | None = None,
    content: Mapping[str, Any] | None = None,
) -> Answers:
    """An answer that is no problem."""
    said: dict[str, Any] = {"description": description, "headers": {**_REQUEST_ID, **(headers or {})}}
    if model is not None:
        said["model"] = model
    if content is not None:
        said["content"] = dict(content)
    return {status: said}


def json_response(value: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as JSON."""
    return Response(value.__pydantic_serializer__.to_json(value), status, headers, "application/json")


def _name(route: APIRoute) -> str:
    return route.name
