"""Jobs in the database, for the REST API; ``attempts`` has the workers' side."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from service.db.newest_first import newest
from service.db.tables import artifacts, blobs, jobs, trials
from service.errors import ConflictError, NotFoundError
from service.jobs.events import append
from service.jobs.kinds import AnyKind
from service.jobs.resources import TERMINAL_STATES, Artifact, Job, State, Trial
from service.kit.ids import new_id

_COLUMNS = [jobs.c[name] for name in Job.model_fields]
_BY_ID = select(*_COLUMNS).where(jobs.c.id == bindparam("identity"))
_STATE = select(jobs.c.state).where(jobs.c.id == bindparam("identity"))
_ARTIFACTS = (
    select(artifacts.c.name, artifacts.c.media_type, blobs.c.size, blobs.c.sha256)
    .join(blobs, artifacts.c.blob == blobs.c.sha256)
    .order_by(artifacts.c.name)
)


def add(connection: Connection, **values: Any) -> str:
    """Queue a job with these values of its columns."""
    identity = new_id("job")
    connection.execute(insert(jobs).values(id=identity, state="queued", created_at=time.time(), **values))
    append(connection, identity, 0, "state", {"state": "queued"})
    return identity


def get(connection: Connection, identity: str) -> Job:
    """The job; raises NotFoundError where there is none."""
    row = connection.execute(_BY_ID, {"identity": identity}).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no job {identity!r}; GET /v1/jobs lists all.")
    return Job.model_validate(dict(row))


def find(
    connection: Connection,
    *,
    state: State | None,
    kind: AnyKind | None,
    model: str | None,
    dataset: str | None,
    after: str | None,
    limit: int,
) -> Sequence[Job]:
    """At most ``limit`` jobs that match every filter that is not None, newest first, older than ``after``.

    ``dataset`` matches jobs that use it as data or as training data.
    """
    wanted = newest(jobs, _COLUMNS, after=after, limit=limit)
    for name, value in (("state", state), ("kind", kind), ("model", model)):
        if value is not None:
            wanted = wanted.where(jobs.c[name] == value)
    if dataset is not None:
        wanted = wanted.where(or_(jobs.c.dataset == dataset, jobs.c.training_dataset == dataset))
    return [Job.model_validate(dict(row)) for row in connection.execute(wanted).mappings()]


def state(connection: Connection, identity: str) -> State | None:
    """The job's state; None where there is no such job."""
    found: State | None = connection.scalar(_STATE, {"identity": identity})
    return found


def counts(connection: Connection) -> Mapping[str, int]:
    """The number of jobs by state; states without jobs are left out."""
    found = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
    return {row[0]: row[1] for row in found}


def trials_of(connection: Connection, identity: str) -> Sequence[Trial]:
    """The job's finished passes, oldest first."""
    get(connection, identity)
    columns = [trials.c[name] for name in Trial.model_fields]
    wanted = select(*columns).where(trials.c.job == identity).order_by(trials.c.created_at, trials.c.key)
    return [Trial.model_validate(dict(row)) for row in connection.execute(wanted).mappings()]


def artifacts_of(connection: Connection, identity: str) -> Sequence[Artifact]:
    """The job's files, by name."""
    get(connection, identity)
    found = connection.execute(_ARTIFACTS.where(artifacts.c.job == identity)).mappings()
    return [Artifact.model_validate(dict(row)) for row in found]


def artifact(connection: Connection, identity: str, name: str) -> Artifact:
    """The job's file of that name; raises NotFoundError where there is none."""
    for found in artifacts_of(connection, identity):
        if found.name == name:
            return found
    raise NotFoundError(f"the job {identity!r} has no artifact {name!r}; GET /v1/jobs/{identity}/artifacts lists all.")


def request_cancel(connection: Connection, identity: str) -> Job:
    """Cancel a queued job, mark a running one as cancelling for its worker, and leave one that has ended unchanged."""
    job = get(connection, identity)
    if job.kind == "check":
        raise ConflictError(
            f"the job {identity!r} is the server's check of a new file; delete the model or dataset instead."
        )
    if job.state in ("queued", "running"):
        done = job.state == "queued"
        values = {"state": "cancelled", "finished_at": time.time()} if done else {"state": "cancelling"}
        connection.execute(update(jobs).where(jobs.c.id == identity).values(**values))
        append(connection, identity, job.attempt, "state", {"state": values["state"]})
    return get(connection, identity)


def remove(connection: Connection, identity: str) -> None:
    """Delete a job that has ended, with its events, trials and artifacts."""
    job = get(connection, identity)
    if job.state not in TERMINAL_STATES:
        raise ConflictError(f"the job {identity!r} is {job.state}; cancel it, and delete it once it has ended.")
    connection.execute(delete(jobs).where(jobs.c.id == identity))
