"""``/v1/jobs``: submitted, listed, cancelled, deleted."""

from typing import Annotated

from fastapi import Header, Query, Response

from service.api.answers import LOCATION, answer, json_response, problems, router
from service.api.parameters import DEFAULT_LIMIT, After, Id, Limit
from service.api.state import Kept
from service.jobs import store
from service.jobs.kinds import AnyKind
from service.jobs.resources import ENDED, Job, JobRequest, State
from service.jobs.submission import submit
from service.kit.pages import Page, page

jobs = router("/v1/jobs", "jobs")

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
Of = Annotated[str | None, Query(max_length=64)]


@jobs.post(
    "",
    status_code=202,
    responses=answer(202, "Queued", Job, LOCATION)
    | answer(200, "Queued earlier, with the same Idempotency-Key", Job, LOCATION)
    | problems(400, 409, 413, 415, 422),
)
def submit_job(body: JobRequest, kept: Kept, key: Key = None) -> Response:
    """Ask for a job. With an Idempotency-Key, asking again gives the same job."""
    with kept.database.write() as connection:
        job, new = submit(connection, body, kept.settings, key)
    return json_response(job, 202 if new else 200, {"Location": f"/v1/jobs/{job.id}"})


@jobs.get("", responses=answer(200, "Newest first", Page[Job]) | problems(422))
async def list_jobs(
    kept: Kept,
    state: State | None = None,
    kind: AnyKind | None = None,
    model: Of = None,
    dataset: Of = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Response:
    """List the jobs, or those of a state, a kind, a model, a dataset."""
    with kept.database.read() as connection:
        found = store.find(
            connection, state=state, kind=kind, model=model, dataset=dataset, after=after, limit=limit + 1
        )
    return json_response(page(found, limit, lambda job: job.id))


@jobs.get("/{job}", responses=answer(200, "As it stands", Job) | problems(404, 422))
async def get_job(job: Id, kept: Kept) -> Response:
    """Say how a job stands."""
    with kept.database.read() as connection:
        return json_response(store.get(connection, job))


@jobs.post(
    "/{job}/cancel",
    status_code=202,
    responses=answer(202, "It is being cancelled", Job) | answer(200, "It has ended", Job) | problems(404, 409, 422),
)
def cancel_job(job: Id, kept: Kept) -> Response:
    """Cancel a job. One that has ended already stays as it is."""
    with kept.database.write() as connection:
        stands = store.request_cancel(connection, job)
    return json_response(stands, 200 if stands.state in ENDED else 202)


@jobs.delete(
    "/{job}", status_code=204, response_class=Response, responses=answer(204, "Forgotten") | problems(404, 409, 422)
)
def delete_job(job: Id, kept: Kept) -> Response:
    """Forget a job that has ended, and its trials, artifacts and events."""
    with kept.database.write() as connection:
        store.remove(connection, job)
    return Response(status_code=204)
