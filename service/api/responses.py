"""The responses of operations, and their descriptions in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.api.json_body import JsonRoute
from service.kit.problem import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_TEXT = {"schema": {"type": "string"}}
_NUMBER = {"schema": {"type": "integer", "minimum": 0}}
LOCATION = {"Location": {"description": "Path of the new resource", **_TEXT}}
UPLOAD_OFFSET = {"Upload-Offset": {"description": "Bytes received", **_NUMBER}}
UPLOAD_LENGTH = {"Upload-Length": {"description": "Total bytes", **_NUMBER}}
ETAG = {"ETag": {"description": "The SHA-256, in quotes", **_TEXT}}
RANGES = {"Accept-Ranges": _TEXT, "Content-Length": _NUMBER}
DISPOSITION = {"Content-Disposition": {"description": "The file's name", **_TEXT}}
_REQUEST_ID = {"X-Request-ID": {"description": "The client's, or a new one", **_TEXT}}
_RETRY = {"Retry-After": {"description": "Seconds to wait", **_NUMBER}}

_PROBLEMS: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    400: ("The body is not valid JSON, or a header is not valid HTTP", {}),
    404: ("Not found", {}),
    409: ("Not allowed in the current state", _RETRY),
    413: ("Too large", {}),
    415: ("Unsupported media type", {}),
    416: ("The range cannot be satisfied", {"Content-Range": _TEXT}),
    422: ("The request is invalid; `errors` has the path of each invalid field", {}),
    500: ("Internal error", {}),
    503: ("Temporarily unavailable", _RETRY),
    507: ("The disk is full", {}),
}


def router(path: str, tag: str) -> APIRouter:
    """The router of a resource; the ID of an operation is its function's name."""
    return APIRouter(prefix=path, tags=[tag], route_class=JsonRoute, generate_unique_id_function=_name)


def problems(*statuses: int) -> Responses:
    """The error responses of an operation: these statuses, and those that every operation has."""
    responses: Responses = {}
    for status in sorted({*statuses, 500, 503}):
        description, headers = _PROBLEMS[status]
        schema = {"$ref": "#/components/schemas/Problem"}
        responses[status] = {
            "description": description,
            "headers": {**_REQUEST_ID, **headers},
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
    return responses


def response(
    status: int,
    description: str,
    model: Any = None,
    headers: Mapping[str, Any] | None = None,
    content: Mapping[str, Any] | None = None,
) -> Responses:
    """A response that is not an error."""
    described: dict[str, Any] = {"description": description, "headers": {**_REQUEST_ID, **(headers or {})}}
    if model is not None:
        described["model"] = model
    if content is not None:
        described["content"] = dict(content)
    return {status: described}


def json_response(value: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with ``value`` as JSON."""
    return Response(value.__pydantic_serializer__.to_json(value), status, headers, "application/json")


def _name(route: APIRoute) -> str:
    return route.name
