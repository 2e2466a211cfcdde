"""``/v1/jobs``: submit, list, cancel and delete jobs."""

from typing import Annotated

from fastapi import Header, Query, Response

from service.api.backend import BackendDep
from service.api.parameters import DEFAULT_LIMIT, After, Id, Limit
from service.api.responses import LOCATION, json_response, problems, response, router
from service.jobs import store
from service.jobs.kinds import AnyKind
from service.jobs.resources import TERMINAL_STATES, Job, JobRequest, State
from service.jobs.submission import submit
from service.kit.pages import Page, page

jobs = router("/v1/jobs", "jobs")

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
Of = Annotated[str | None, Query(max_length=64)]


@jobs.post(
    "",
    status_code=202,
    responses=response(202, "Queued", Job, LOCATION)
    | response(200, "Queued earlier, with the same Idempotency-Key", Job, LOCATION)
    | problems(400, 409, 413, 415, 422),
)
def submit_job(body: JobRequest, backend: BackendDep, key: Key = None) -> Response:
    """Submit a job. Submitting again with the same Idempotency-Key returns the same job."""
    with backend.database.write() as connection:
        job, new = submit(connection, body, backend.settings, key)
    return json_response(job, 202 if new else 200, {"Location": f"/v1/jobs/{job.id}"})


@jobs.get("", responses=response(200, "Newest first", Page[Job]) | problems(422))
async def list_jobs(
    backend: BackendDep,
    state: State | None = None,
    kind: AnyKind | None = None,
    model: Of = None,
    dataset: Of = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Response:
    """List jobs, filtered by state, kind, model or dataset."""
    with backend.database.read() as connection:
        found = store.find(
            connection, state=state, kind=kind, model=model, dataset=dataset, after=after, limit=limit + 1
        )
    return json_response(page(found, limit, lambda job: job.id))


@jobs.get("/{job}", responses=response(200, "Its current state", Job) | problems(404, 422))
async def get_job(job: Id, backend: BackendDep) -> Response:
    """Read a job."""
    with backend.database.read() as connection:
        return json_response(store.get(connection, job))


@jobs.post(
    "/{job}/cancel",
    status_code=202,
    responses=response(202, "Being cancelled", Job) | response(200, "Ended", Job) | problems(404, 409, 422),
)
def cancel_job(job: Id, backend: BackendDep) -> Response:
    """Cancel a job. One that has ended does not change."""
    with backend.database.write() as connection:
        found = store.request_cancel(connection, job)
    return json_response(found, 200 if found.state in TERMINAL_STATES else 202)


@jobs.delete(
    "/{job}", status_code=204, response_class=Response, responses=response(204, "Deleted") | problems(404, 409, 422)
)
def delete_job(job: Id, backend: BackendDep) -> Response:
    """Delete a job that has ended, with its trials, artifacts and events."""
    with backend.database.write() as connection:
        store.remove(connection, job)
    return Response(status_code=204)
