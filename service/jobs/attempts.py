"""The queue as workers use it: claim a job, renew its lease, record its results, finish it or requeue it.

Every write names its claim: the job, the attempt's number and the worker (a fencing token). Once a job was requeued or
claimed by another worker, the old claim is stale: the write raises StaleClaimError, and its transaction is rolled back.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from service.db.tables import artifacts, datasets, jobs, models, trials
from service.jobs.events import append
from service.kit.problem import Problem
from service.storage import Blob
from service.uploads.store import record_blob

#: A worker has slots for each queue: checks of new files, which are short, and jobs on the CPU or on a GPU.
QueueName = Literal["check", "cpu", "gpu"]

#: The states of a job that a worker has claimed.
CLAIMED_STATES = ("running", "cancelling")
WORKER_LOST = Problem(
    title="The job's worker was lost",
    status=500,
    code="worker-died",
    detail="too many attempts at the job were lost: its process or its worker ended without reporting an error; if the "
    "job may need more memory than the server has, lower `settings.batch_size`, else tell the operator.",
)


class StaleClaimError(Exception):
    """The job was requeued or claimed again, or it has ended, so nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's claim to a job: the fencing token of all that it writes."""

    job: str
    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class JobInputs:
    """The rows of a job's model and datasets; None for those that it does not refer to."""

    model: Row[Any] | None
    dataset: Row[Any] | None
    training_dataset: Row[Any] | None


def has_queued(connection: Connection, queue: QueueName) -> bool:
    """Whether a job waits in the queue."""
    return connection.execute(_queued(queue)).first() is not None


def claim(
    connection: Connection, queue: QueueName, worker: str, lease_expires_at: float
) -> tuple[Claim, Row[Any]] | None:
    """Claim the oldest job of the queue until the lease expires; returns the claim, and the row from before it."""
    job = connection.execute(_queued(queue)).first()
    if job is None:
        return None
    claimed = Claim(job.id, job.attempt + 1, worker)
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id)
        .values(
            state="running",
            attempt=claimed.attempt,
            worker=worker,
            lease_expires_at=lease_expires_at,
            started_at=job.started_at or time.time(),
        )
    )
    append(connection, job.id, claimed.attempt, "state", {"state": "running"})
    return claimed, job


def load_inputs(connection: Connection, job: Row[Any]) -> JobInputs:
    """The rows of the job's model and datasets."""
    model = connection.execute(select(models).where(models.c.id == job.model)).first()
    dataset, training_dataset = (
        connection.execute(select(datasets).where(datasets.c.id == identity)).first()
        for identity in (job.dataset, job.training_dataset)
    )
    return JobInputs(model, dataset, training_dataset)


def trials_of(connection: Connection, job: str) -> Mapping[str, str]:
    """The blobs of the job's finished passes, by their keys."""
    found = connection.execute(select(trials.c.key, trials.c.blob).where(trials.c.job == job))
    return {row.key: row.blob for row in found}


def states_of(connection: Connection, claims: Collection[Claim]) -> Mapping[Claim, str]:
    """The states, running or cancelling, of the jobs of those ``claims`` that are not stale."""
    if not claims:
        return {}
    wanted = select(jobs.c.id, jobs.c.attempt, jobs.c.worker, jobs.c.state).where(or_(*map(_is_claimed_by, claims)))
    return {Claim(row.id, row.attempt, row.worker): row.state for row in connection.execute(wanted)}


def renew_leases(connection: Connection, claims: Collection[Claim], lease_expires_at: float) -> None:
    """Renew the leases of those ``claims`` that are not stale."""
    if claims:
        connection.execute(
            update(jobs).where(or_(*map(_is_claimed_by, claims))).values(lease_expires_at=lease_expires_at)
        )


def record_progress(connection: Connection, claim: Claim, stage: str, done: int, total: int) -> None:
    """Append a progress event."""
    _check_claim(connection, claim)
    append(connection, claim.job, claim.attempt, "progress", {"stage": stage, "done": done, "total": total})


def record_unprotected(connection: Connection, claim: Claim, protections: Sequence[str]) -> None:
    """Append an event with the sandbox protections that this machine does not support."""
    _check_claim(connection, claim)
    append(connection, claim.job, claim.attempt, "state", {"state": "running", "unprotected": list(protections)})


def record_trial(connection: Connection, claim: Claim, key: str, stage: str, examples: int, blob: Blob) -> None:
    """Store a finished pass for later attempts; one that is stored already is not replaced."""
    _check_claim(connection, claim)
    record_blob(connection, blob)
    values = {"key": key, "stage": stage, "examples": examples, "attempt": claim.attempt}
    row = upsert(trials).values(job=claim.job, blob=blob.sha256, created_at=time.time(), **values)
    if connection.execute(row.on_conflict_do_nothing()).rowcount:
        append(connection, claim.job, claim.attempt, "trial", values)


def record_artifact(connection: Connection, claim: Claim, name: str, media_type: str, blob: Blob) -> None:
    """Store a file for clients; it replaces one of the same name that an earlier attempt wrote."""
    _check_claim(connection, claim)
    record_blob(connection, blob)
    values = {"media_type": media_type, "blob": blob.sha256}
    row = upsert(artifacts).values(job=claim.job, name=name, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["job", "name"], set_=values))
    described = {"name": name, "media_type": media_type, "size": blob.size, "sha256": blob.sha256}
    append(connection, claim.job, claim.attempt, "artifact", described)


def succeed(connection: Connection, claim: Claim, verdict: str | None) -> None:
    """End the job as succeeded; all its results are stored."""
    _release(connection, claim, {"state": "succeeded", "verdict": verdict})


def succeed_check(connection: Connection, claim: Claim, facts: Mapping[str, Any], weights: Blob | None) -> None:
    """End a check as succeeded, and make its model or dataset ready with these ``facts``."""
    _release(connection, claim, {"state": "succeeded"})
    values: dict[str, Any] = {"state": "ready", "facts": dict(facts)}
    if weights is not None:
        record_blob(connection, weights)
        values["weights"] = weights.sha256
    _update_checked(connection, claim.job, values)


def fail(connection: Connection, claim: Claim, problem: Problem) -> None:
    """End the job as failed; it is not retried."""
    _release(connection, claim, {"state": "failed", "problem": _document(problem)})
    _refuse_checked(connection, claim.job, problem)


def cancel(connection: Connection, claim: Claim) -> None:
    """End the job as cancelled."""
    _release(connection, claim, {"state": "cancelled"})
    _refuse_checked(connection, claim.job, _CANCELLED)


def record_lost_attempt(connection: Connection, claim: Claim, attempts: int) -> None:
    """Count the attempt as lost: requeue the job, or fail it once it has lost ``attempts``."""
    job = connection.execute(select(jobs).where(_is_claimed_by(claim))).first()
    if job is None:
        raise StaleClaimError(claim)
    _record_lost_attempt(connection, job, attempts)


def requeue(connection: Connection, claim: Claim) -> None:
    """Requeue the job, without counting its attempt as lost: its worker shuts down."""
    job = connection.execute(select(jobs.c.state).where(_is_claimed_by(claim))).first()
    if job is not None and job.state == "cancelling":
        cancel(connection, claim)
    else:
        _release(connection, claim, {"state": "queued"})


def expire_leases(connection: Connection, now: float, attempts: int, lost: Collection[str] = ()) -> int:
    """Count as lost the attempts whose lease has expired, and those of the ``lost`` workers; how many there were."""
    expired = and_(jobs.c.state.in_(CLAIMED_STATES), or_(jobs.c.lease_expires_at < now, jobs.c.worker.in_(lost)))
    found = connection.execute(select(jobs).where(expired)).all()
    for job in found:
        _record_lost_attempt(connection, job, attempts)
    return len(found)


_CANCELLED = Problem(
    title="The check was cancelled",
    status=409,
    code="cancelled",
    detail="the check of this file was cancelled, so the file cannot be used; delete it here, and register it again.",
)


def _queued(queue: QueueName) -> Any:
    """The oldest queued job: identities sort by the time they were made."""
    kind = jobs.c.kind == "check" if queue == "check" else and_(jobs.c.slot == queue, jobs.c.kind != "check")
    return select(jobs).where(jobs.c.state == "queued", kind).order_by(jobs.c.id).limit(1)


def _is_claimed_by(claim: Claim) -> Any:
    return and_(
        jobs.c.id == claim.job,
        jobs.c.attempt == claim.attempt,
        jobs.c.worker == claim.worker,
        jobs.c.state.in_(CLAIMED_STATES),
    )


def _check_claim(connection: Connection, claim: Claim) -> None:
    """Raise StaleClaimError for a stale claim."""
    if not states_of(connection, [claim]):
        raise StaleClaimError(claim)


def _release(connection: Connection, claim: Claim, values: Mapping[str, Any]) -> None:
    """Release the claim and set ``values``, the job's state among them; once the job has ended, drop its logits."""
    ended = values["state"] != "queued"
    released = {"worker": None, "lease_expires_at": None, "finished_at": time.time() if ended else None}
    changed = connection.execute(update(jobs).where(_is_claimed_by(claim)).values(**released, **values))
    if not changed.rowcount:
        raise StaleClaimError(claim)
    if ended:
        connection.execute(update(trials).where(trials.c.job == claim.job).values(blob=None))
    append(connection, claim.job, claim.attempt, "state", dict(values))


def _record_lost_attempt(connection: Connection, job: Row[Any], attempts: int) -> None:
    claim = Claim(job.id, job.attempt, job.worker)
    lost_attempts = job.lost_attempts + 1
    connection.execute(update(jobs).where(_is_claimed_by(claim)).values(lost_attempts=lost_attempts))
    if job.state == "cancelling":
        cancel(connection, claim)
    elif lost_attempts >= attempts:
        fail(connection, claim, WORKER_LOST)
    else:
        _release(connection, claim, {"state": "queued"})


def _refuse_checked(connection: Connection, job: str, problem: Problem) -> None:
    """Where the job was a check: refuse the model or dataset that it checked."""
    _update_checked(connection, job, {"state": "refused", "problem": _document(problem)})


def _update_checked(connection: Connection, job: str, values: Mapping[str, Any]) -> None:
    """Where the job is a check, set ``values`` on its model or dataset, without those columns that it lacks."""
    row = connection.execute(select(jobs.c.kind, jobs.c.model, jobs.c.dataset).where(jobs.c.id == job)).one()
    if row.kind != "check":
        return
    table, identity = (models, row.model) if row.model is not None else (datasets, row.dataset)
    checking = and_(table.c.id == identity, table.c.state == "checking")
    connection.execute(update(table).where(checking).values({k: v for k, v in values.items() if k in table.c}))


def _document(problem: Problem) -> dict[str, Any]:
    return problem.model_dump(mode="json", exclude_none=True)
