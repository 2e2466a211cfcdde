"""``/v1/jobs/{job}/…``: what a job has done so far, and what came of it."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Header, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from service.api.answers import answer, json_response, problems, router
from service.api.following import follow
from service.api.parameters import DEFAULT_LIMIT, Id, Limit
from service.api.state import Kept
from service.api.stored_file import GET_ANSWERS, HEAD_ANSWERS, file_response
from service.jobs import events, store
from service.jobs.resources import ENDED, Artifact, Event, Trial
from service.kit.pages import Page, page

results = router("/v1/jobs/{job}", "jobs")

EVENT_STREAM = "text/event-stream"
LARGEST_ID = 2**63 - 1

Name = Annotated[str, Path(max_length=128)]
EventId = Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="id of the last event known")]
LastEventId = Annotated[
    int | None, Header(alias="Last-Event-ID", ge=0, le=LARGEST_ID, description="the same, as EventSource says it")
]


@results.get("/trials", responses=answer(200, "In the order of their end", Page[Trial]) | problems(404, 422))
async def list_trials(job: Id, kept: Kept) -> Response:
    """List the finished passes of a job."""
    with kept.database.read() as connection:
        return json_response(_whole(store.trials_of(connection, job)))


@results.get("/artifacts", responses=answer(200, "By name", Page[Artifact]) | problems(404, 422))
async def list_artifacts(job: Id, kept: Kept) -> Response:
    """List the files that a job wrote."""
    with kept.database.read() as connection:
        return json_response(_whole(store.artifacts_of(connection, job)))


@results.get("/artifacts/{name}", response_class=Response, responses=GET_ANSWERS)
async def get_artifact(job: Id, name: Name, request: Request, kept: Kept) -> Response:
    """Fetch a file that a job wrote."""
    with kept.database.read() as connection:
        found = store.artifact(connection, job, name)
    return file_response(request, kept, found.sha256, found.name, found.media_type)


@results.head("/artifacts/{name}", response_class=Response, responses=HEAD_ANSWERS)
async def head_artifact(job: Id, name: Name, request: Request, kept: Kept) -> Response:
    """Ask for the size and the SHA-256 of a file that a job wrote."""
    return await get_artifact(job, name, request, kept)


@results.get(
    "/events",
    responses=answer(
        200,
        "Oldest first; as text/event-stream, until the job has ended",
        Page[Event],
        content={EVENT_STREAM: {"schema": {"type": "string"}}},
    )
    | answer(204, "As text/event-stream: the job has ended, and there is nothing more")
    | problems(404, 422),
)
async def list_events(
    job: Id,
    request: Request,
    kept: Kept,
    limit: Limit = DEFAULT_LIMIT,
    after: EventId = None,
    last_event_id: LastEventId = None,
) -> Response:
    """List the events of a job, or follow them where Accept asks for text/event-stream.

    Both begin after the event `after`, or else after Last-Event-ID; `limit` is for lists only.
    """
    known = next((each for each in (after, last_event_id) if each is not None), 0)
    with kept.database.read() as connection:
        state = store.get(connection, job).state
        found = events.after(connection, job, known, limit + 1)
    if EVENT_STREAM not in request.headers.get("accept", ""):
        return json_response(page(found, limit, lambda event: str(event.id)))
    if state in ENDED and not found:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(follow(kept.database, job, known), headers=headers, media_type=EVENT_STREAM)


def _whole(found: Sequence[Any]) -> Page[Any]:
    return Page(data=tuple(found), has_more=False)
