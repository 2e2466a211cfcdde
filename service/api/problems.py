"""Exception handlers: every error as ``application/problem+json`` (RFC 9457)."""

import errno
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from calibrate.recipe import broken_fields
from service.db.database import is_busy
from service.errors import InvalidError, ServiceError, StorageFullError, UnavailableError
from service.kit.problem import MEDIA_TYPE, FieldProblem, Problem

#: How SQLite says that the disk is full.
FULL = ("SQLITE_FULL",)


def problem_response(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as the response to this request."""
    numbered = problem.model_copy(update={"request_id": request.state.request_id})
    return Response(numbered.model_dump_json(), problem.status, dict(headers or {}), MEDIA_TYPE)


async def handle_service_error(request: Request, error: Exception) -> Response:
    """The response for the server's own errors."""
    assert isinstance(error, ServiceError), "it is registered for these"
    problem = Problem(
        title=error.title,
        status=error.status,
        code=error.code,
        detail=str(error),
        errors=tuple(FieldProblem(path=path, message=message) for path, message in error.fields),
    )
    return problem_response(request, problem, error.headers)


async def handle_validation_error(request: Request, error: Exception) -> Response:
    """The response to a request that does not match its schema."""
    assert isinstance(error, RequestValidationError), "it is registered for these"
    fields = broken_fields({**item, "loc": _location(item["loc"])} for item in error.errors())
    detail = "; ".join(f"{path}: {message}" if path else message for path, message in fields)
    return await handle_service_error(
        request, InvalidError(f"{detail}. /openapi.json has the schema of every request.", fields)
    )


async def handle_http_error(request: Request, error: Exception) -> Response:
    """The response where no operation matches: an unknown path, or a method that the path does not have."""
    assert isinstance(error, HTTPException), "it is registered for these"
    phrase = HTTPStatus(error.status_code).phrase
    detail, headers = f"{phrase}; /openapi.json lists every operation.", dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
        detail = f"{request.method} is not a method of this path, which has {headers['Allow']}."
    problem = Problem(title=phrase, status=error.status_code, code=phrase.lower().replace(" ", "-"), detail=detail)
    return problem_response(request, problem, headers)


async def handle_database_error(request: Request, error: Exception) -> Response:
    """The response where the database is busy or its disk is full; other errors are unexpected."""
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    if is_busy(getattr(error, "orig", None)):
        busy = UnavailableError("the database is busy; send the request again.", headers={"Retry-After": "1"})
        return await handle_service_error(request, busy)
    if name.startswith(FULL):
        return await handle_service_error(request, _full())
    raise error


async def handle_os_error(request: Request, error: Exception) -> Response:
    """The response where the disk is full; other errors are unexpected."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return await handle_service_error(request, _full())
    raise error


async def handle_unexpected_error(request: Request, _error: Exception) -> Response:
    """The response to an unexpected error; the log has its traceback."""
    problem = Problem(
        title="Internal error",
        status=500,
        code="internal",
        detail=f"the server had an unexpected error; tell its operator the request id {request.state.request_id}.",
    )
    return problem_response(request, problem, {"X-Request-ID": request.state.request_id})


EXCEPTION_HANDLERS: Mapping[Any, Any] = {
    ServiceError: handle_service_error,
    RequestValidationError: handle_validation_error,
    HTTPException: handle_http_error,
    OperationalError: handle_database_error,
    OSError: handle_os_error,
    Exception: handle_unexpected_error,
}


def _full() -> StorageFullError:
    return StorageFullError("the server's disk is full; tell its operator, who may run `afternorm gc`.")


def _location(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path of a field: inside the body for its fields, with query, path or header before other parameters."""
    return location[1:] if location[0] == "body" else location


def _methods(request: Request) -> set[str]:
    matching = (route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE)
    return {method for route in matching for method in route.methods}
