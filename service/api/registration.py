"""Registering a file: its check is a job, and whoever registers it waits a while for what the check finds."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import Response
from sqlalchemy import Connection

from service.api.answers import LOCATION, Answers, answer, json_response, problems
from service.api.state import State
from service.datasets.resources import Dataset
from service.errors import RefusedError
from service.models.resources import Model

#: Seconds between two looks at a check.
LOOK_SECONDS = 0.1


def registration_answers(resource: type[Any]) -> Answers:
    """How registering answers."""
    return (
        answer(201, "Checked, and ready", resource, LOCATION)
        | answer(202, "Still being checked", resource, LOCATION)
        | problems(400, 409, 413, 415, 422)
    )


async def registered(kept: State, location: str, look: Callable[[Connection], Model | Dataset]) -> Response:
    """The answer once the check has ended: ready, refused, or not yet after as long as the settings allow."""
    deadline = time.monotonic() + kept.settings.check_wait_seconds
    while True:
        with kept.database.read() as connection:
            found = look(connection)
        if found.state != "checking" or time.monotonic() >= deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    if found.problem is not None:
        problem = found.problem
        fields = [(field.path, field.message) for field in problem.errors]
        raise RefusedError(problem.code, problem.title, problem.detail, fields, {"Location": location})
    return json_response(found, 201 if found.state == "ready" else 202, {"Location": location})
