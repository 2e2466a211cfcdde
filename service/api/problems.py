"""Every failure as ``application/problem+json`` (RFC 9457)."""

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
from service.errors import InvalidError, ServiceError, StorageFullError, UnavailableError
from service.kit.problem import MEDIA_TYPE, FieldProblem, Problem

#: Of SQLite, where it is not the request that is at fault.
BUSY, FULL = ("SQLITE_BUSY", "SQLITE_LOCKED"), ("SQLITE_FULL",)


def problem_response(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as an answer to this request."""
    named = problem.model_copy(update={"request_id": request.state.request_id})
    return Response(named.model_dump_json(), problem.status, dict(headers or {}), MEDIA_TYPE)


async def refuse(request: Request, error: Exception) -> Response:
    """Answer with one of the server's own errors."""
    assert isinstance(error, ServiceError), "it is registered for these"
    problem = Problem(
        title=error.title,
        status=error.status,
        code=error.code,
        detail=str(error),
        errors=tuple(FieldProblem(path=path, message=message) for path, message in error.fields),
    )
    return problem_response(request, problem, error.headers)


async def refuse_invalid(request: Request, error: Exception) -> Response:
    """Answer to a request that breaks its schema."""
    assert isinstance(error, RequestValidationError), "it is registered for these"
    fields = broken_fields({**item, "loc": _location(item["loc"])} for item in error.errors())
    told = "; ".join(f"{path}: {message}" if path else message for path, message in fields)
    return await refuse(request, InvalidError(f"{told}. /openapi.json has the schema of every request.", fields))


async def refuse_http(request: Request, error: Exception) -> Response:
    """Answer where no operation was reached: an unknown path, or a method that the path does not have."""
    assert isinstance(error, HTTPException), "it is registered for these"
    phrase = HTTPStatus(error.status_code).phrase
    detail, headers = f"{phrase}; /openapi.json lists every operation.", dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
        detail = f"{request.method} is not a method of this path, which has {headers['Allow']}."
    problem = Problem(title=phrase, status=error.status_code, code=phrase.lower().replace(" ", "-"), detail=detail)
    return problem_response(request, problem, headers)


async def refuse_database(request: Request, error: Exception) -> Response:
    """Answer where the database is busy or its disk is full; anything else is a failure."""
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    if name.startswith(BUSY):
        busy = UnavailableError("the database is busy; send the request again.", headers={"Retry-After": "1"})
        return await refuse(request, busy)
    if name.startswith(FULL):
        return await refuse(request, _full())
    raise error


async def refuse_system(request: Request, error: Exception) -> Response:
    """Answer where the disk is full; anything else is a failure."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return await refuse(request, _full())
    raise error


async def fail(request: Request, _error: Exception) -> Response:
    """Answer to what should not happen; the log has its traceback."""
    problem = Problem(
        title="The server failed",
        status=500,
        code="internal",
        detail=f"the request met an error in the server; tell its operator the request id {request.state.request_id}.",
    )
    return problem_response(request, problem, {"X-Request-ID": request.state.request_id})


HANDLERS: Mapping[Any, Any] = {
    ServiceError: refuse,
    RequestValidationError: refuse_invalid,
    HTTPException: refuse_http,
    OperationalError: refuse_database,
    OSError: refuse_system,
    Exception: fail,
}


def _full() -> StorageFullError:
    return StorageFullError("the server's disk is full; tell its operator, who may run `afternorm gc`.")


def _location(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Fields of the body by their own path; parameters after where they stand."""
    return location[1:] if location[0] == "body" else location


def _methods(request: Request) -> set[str]:
    matching = (route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE)
    return {method for route in matching for method in route.methods}
