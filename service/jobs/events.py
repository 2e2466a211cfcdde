"""The events of jobs: appended with each change of a job, read as pages or as a stream."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from service.db.tables import events
from service.jobs.resources import Event


def append(connection: Connection, job: str, attempt: int, kind: str, data: dict[str, Any]) -> None:
    """Append an event, in the same transaction as the change that it reports."""
    connection.execute(insert(events).values(job=job, type=kind, data=data, attempt=attempt, created_at=time.time()))


def after(connection: Connection, job: str, identity: int, limit: int) -> Sequence[Event]:
    """At most ``limit`` events of the job after the event ``identity``, in order."""
    wanted = select(events).where(events.c.job == job, events.c.id > identity).order_by(events.c.id).limit(limit)
    columns = ("id", "type", "data", "attempt", "created_at")
    return [Event.model_validate({name: getattr(row, name) for name in columns}) for row in connection.execute(wanted)]
