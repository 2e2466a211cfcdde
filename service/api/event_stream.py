"""Following a job's events as they happen (server-sent events)."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi.sse import format_sse_event

from service.db import Database
from service.jobs import events, store
from service.jobs.resources import ENDED

#: Seconds between two looks, and after how many without an event the client is told that the server lives.
LOOK_SECONDS, HEARTBEAT_SECONDS = 0.2, 15.0
BATCH = 200


async def follow(database: Database, job: str, known: int) -> AsyncIterator[bytes]:
    """The job's events after the event ``known``, each once and in order, until the job has ended or is deleted.

    The change that ends a job and its event are one transaction, so what is seen ended has no events to come.
    """
    said = time.monotonic()
    while True:
        with database.read() as connection:
            over = store.state(connection, job) in {None, *ENDED}
            found = events.after(connection, job, known, BATCH)
        for event in found:
            known, said = event.id, time.monotonic()
            yield format_sse_event(data_str=event.model_dump_json(), event=event.type, id=str(event.id))
        if len(found) == BATCH:
            continue
        if over:
            return
        if time.monotonic() - said >= HEARTBEAT_SECONDS:
            said = time.monotonic()
            yield format_sse_event(comment="alive")
        await asyncio.sleep(LOOK_SECONDS)
