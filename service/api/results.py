"""``/v1/jobs/{job}/…``: a job's trials, artifacts and events."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Header, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from service.api.backend import BackendDep
from service.api.event_stream import stream_events
from service.api.file_responses import GET_RESPONSES, HEAD_RESPONSES, file_response
from service.api.parameters import DEFAULT_LIMIT, Id, Limit
from service.api.responses import json_response, problems, response, router
from service.jobs import events, store
from service.jobs.resources import TERMINAL_STATES, Artifact, Event, Trial
from service.kit.pages import Page, page

results = router("/v1/jobs/{job}", "jobs")

EVENT_STREAM = "text/event-stream"
MAX_ID = 2**63 - 1

Name = Annotated[str, Path(max_length=128)]
EventId = Annotated[int | None, Query(ge=0, le=MAX_ID, description="return only events after this id")]
LastEventId = Annotated[
    int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_ID, description="the same, as sent by EventSource")
]


@results.get("/trials", responses=response(200, "Oldest first", Page[Trial]) | problems(404, 422))
async def list_trials(job: Id, backend: BackendDep) -> Response:
    """List the finished passes of a job."""
    with backend.database.read() as connection:
        return json_response(_single_page(store.trials_of(connection, job)))


@results.get("/artifacts", responses=response(200, "By name", Page[Artifact]) | problems(404, 422))
async def list_artifacts(job: Id, backend: BackendDep) -> Response:
    """List the files that a job wrote."""
    with backend.database.read() as connection:
        return json_response(_single_page(store.artifacts_of(connection, job)))


@results.get("/artifacts/{name}", response_class=Response, responses=GET_RESPONSES)
async def get_artifact(job: Id, name: Name, request: Request, backend: BackendDep) -> Response:
    """Download a file that a job wrote."""
    with backend.database.read() as connection:
        found = store.artifact(connection, job, name)
    return file_response(request, backend, found.sha256, found.name, found.media_type)


@results.head("/artifacts/{name}", response_class=Response, responses=HEAD_RESPONSES)
async def head_artifact(job: Id, name: Name, request: Request, backend: BackendDep) -> Response:
    """Read the size and the SHA-256 of a file that a job wrote."""
    return await get_artifact(job, name, request, backend)


@results.get(
    "/events",
    responses=response(
        200,
        "Oldest first; as text/event-stream, until the job has ended",
        Page[Event],
        content={EVENT_STREAM: {"schema": {"type": "string"}}},
    )
    | response(204, "As text/event-stream: the job has ended, and there are no more events")
    | problems(404, 422),
)
async def list_events(
    job: Id,
    request: Request,
    backend: BackendDep,
    limit: Limit = DEFAULT_LIMIT,
    after: EventId = None,
    last_event_id: LastEventId = None,
) -> Response:
    """List the events of a job, or stream them where Accept is text/event-stream.

    Both start after the event `after`, or else after Last-Event-ID; `limit` applies to lists only.
    """
    known = next((each for each in (after, last_event_id) if each is not None), 0)
    with backend.database.read() as connection:
        state = store.get(connection, job).state
        found = events.after(connection, job, known, limit + 1)
    if EVENT_STREAM not in request.headers.get("accept", ""):
        return json_response(page(found, limit, lambda event: str(event.id)))
    if state in TERMINAL_STATES and not found:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream_events(backend.database, job, known), headers=headers, media_type=EVENT_STREAM)


def _single_page(found: Sequence[Any]) -> Page[Any]:
    return Page(data=tuple(found), has_more=False)
