"""Registering a file: its check is a job, for whose result the request waits a while."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import Response
from sqlalchemy import Connection

from service.api.backend import Backend
from service.api.responses import LOCATION, Responses, json_response, problems, response
from service.datasets.resources import Dataset
from service.errors import RefusedError
from service.models.resources import Model

#: Seconds between polls of a check.
POLL_SECONDS = 0.1


def registration_responses(resource: type[Any]) -> Responses:
    """The responses of a registration."""
    return (
        response(201, "Checked, and ready", resource, LOCATION)
        | response(202, "Still being checked", resource, LOCATION)
        | problems(400, 409, 413, 415, 422)
    )


async def wait_for_check(backend: Backend, location: str, read: Callable[[Connection], Model | Dataset]) -> Response:
    """Wait for the check, as long as the settings allow: 201 when ready, 202 when not finished, else its problem."""
    deadline = time.monotonic() + backend.settings.check_wait_seconds
    while True:
        with backend.database.read() as connection:
            found = read(connection)
        if found.state != "checking" or time.monotonic() >= deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    if found.problem is not None:
        problem = found.problem
        fields = [(field.path, field.message) for field in problem.errors]
        raise RefusedError(problem.code, problem.title, problem.detail, fields, {"Location": location})
    return json_response(found, 201 if found.state == "ready" else 202, {"Location": location})
