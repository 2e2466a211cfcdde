"""A job's events as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi.sse import format_sse_event

from service.db import Database
from service.jobs import events, store
from service.jobs.resources import TERMINAL_STATES

#: Seconds between polls of the database, and without an event until a heartbeat comment is sent.
POLL_SECONDS, HEARTBEAT_SECONDS = 0.2, 15.0
BATCH = 200


async def stream_events(database: Database, job: str, known: int) -> AsyncIterator[bytes]:
    """Stream the job's events after the event ``known``, once each and in order, until the job ends or is deleted.

    A job ends in the same transaction in which its last event is appended, so a job that has ended has no later events.
    """
    last_sent = time.monotonic()
    while True:
        with database.read() as connection:
            ended = store.state(connection, job) in {None, *TERMINAL_STATES}
            found = events.after(connection, job, known, BATCH)
        for event in found:
            known, last_sent = event.id, time.monotonic()
            yield format_sse_event(data_str=event.model_dump_json(), event=event.type, id=str(event.id))
        if len(found) == BATCH:
            continue
        if ended:
            return
        if time.monotonic() - last_sent >= HEARTBEAT_SECONDS:
            last_sent = time.monotonic()
            yield format_sse_event(comment="alive")
        await asyncio.sleep(POLL_SECONDS)
