"""The life of a job once it is queued: claimed, kept alive, ended or queued again. All of it is fenced.

Whoever changes a claimed job shows its claim: the job, the number of the attempt, and the worker. A job that was taken
away has another number or none, so that a stale attempt changes nothing: it gets StaleError, and its transaction is
undone.
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

#: What a worker has places for: checks of new files, which are short, and jobs on the CPU or on a GPU.
Lane = Literal["check", "cpu", "gpu"]

HELD = ("running", "cancelling")
WORKER_DIED = Problem(
    title="The job's process died",
    status=500,
    code="worker-died",
    detail="the job was started several times, and each time its process or its worker died before it could say why; "
    "if it may need more memory than the server has, lower `settings.batch_size`, else tell the operator.",
)


class StaleError(Exception):
    """The attempt no longer holds its job, so nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker shows when it writes: which job it holds, by which attempt."""

    job: str
    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class Materials:
    """The rows of what a job works on; None for what it does not refer to."""

    model: Row[Any] | None
    dataset: Row[Any] | None
    training_dataset: Row[Any] | None


def waiting(connection: Connection, lane: Lane) -> bool:
    """Whether a job is queued in the lane."""
    return connection.execute(_queued(lane)).first() is not None


def claim(connection: Connection, lane: Lane, worker: str, lease_expires_at: float) -> tuple[Claim, Row[Any]] | None:
    """Start the oldest queued job of the lane, which the worker then holds until its lease ends; its row as it was."""
    job = connection.execute(_queued(lane)).first()
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


def materials(connection: Connection, job: Row[Any]) -> Materials:
    """The rows of the job's model and datasets."""
    model = connection.execute(select(models).where(models.c.id == job.model)).first()
    dataset, training_dataset = (
        connection.execute(select(datasets).where(datasets.c.id == identity)).first()
        for identity in (job.dataset, job.training_dataset)
    )
    return Materials(model, dataset, training_dataset)


def trials_of(connection: Connection, job: str) -> Mapping[str, str]:
    """The blobs of the job's finished passes, by their keys."""
    found = connection.execute(select(trials.c.key, trials.c.blob).where(trials.c.job == job))
    return {row.key: row.blob for row in found}


def states_of(connection: Connection, claims: Collection[Claim]) -> Mapping[Claim, str]:
    """The states, running or cancelling, of those of ``claims`` that still hold their jobs."""
    if not claims:
        return {}
    wanted = select(jobs.c.id, jobs.c.attempt, jobs.c.worker, jobs.c.state).where(or_(*map(_held, claims)))
    return {Claim(row.id, row.attempt, row.worker): row.state for row in connection.execute(wanted)}


def renew(connection: Connection, claims: Collection[Claim], lease_expires_at: float) -> None:
    """Extend the leases of those of ``claims`` that still hold their jobs."""
    if claims:
        connection.execute(update(jobs).where(or_(*map(_held, claims))).values(lease_expires_at=lease_expires_at))


def record_progress(connection: Connection, claim: Claim, stage: str, done: int, total: int) -> None:
    """Tell of progress."""
    _touch(connection, claim)
    append(connection, claim.job, claim.attempt, "progress", {"stage": stage, "done": done, "total": total})


def record_unprotected(connection: Connection, claim: Claim, protections: Sequence[str]) -> None:
    """Tell which protections of the sandbox this machine did not grant."""
    _touch(connection, claim)
    append(connection, claim.job, claim.attempt, "state", {"state": "running", "unprotected": list(protections)})


def record_trial(connection: Connection, claim: Claim, key: str, stage: str, examples: int, blob: Blob) -> None:
    """Keep a finished pass for later attempts; one that is kept already stays."""
    _touch(connection, claim)
    record_blob(connection, blob)
    values = {"key": key, "stage": stage, "examples": examples, "attempt": claim.attempt}
    kept = upsert(trials).values(job=claim.job, blob=blob.sha256, created_at=time.time(), **values)
    if connection.execute(kept.on_conflict_do_nothing()).rowcount:
        append(connection, claim.job, claim.attempt, "trial", values)


def record_artifact(connection: Connection, claim: Claim, name: str, media_type: str, blob: Blob) -> None:
    """Give clients a file; it replaces the one that an earlier attempt wrote under the name."""
    _touch(connection, claim)
    record_blob(connection, blob)
    values = {"media_type": media_type, "blob": blob.sha256}
    given = upsert(artifacts).values(job=claim.job, name=name, **values)
    connection.execute(given.on_conflict_do_update(index_elements=["job", "name"], set_=values))
    described = {"name": name, "media_type": media_type, "size": blob.size, "sha256": blob.sha256}
    append(connection, claim.job, claim.attempt, "artifact", described)


def succeed(connection: Connection, claim: Claim, verdict: str | None) -> None:
    """End the job: its work is done, and all of it is stored."""
    _end(connection, claim, {"state": "succeeded", "verdict": verdict})


def succeed_check(connection: Connection, claim: Claim, facts: Mapping[str, Any], weights: Blob | None) -> None:
    """End a check: the model or dataset can be used, and this is known of it."""
    _end(connection, claim, {"state": "succeeded"})
    values: dict[str, Any] = {"state": "ready", "facts": dict(facts)}
    if weights is not None:
        record_blob(connection, weights)
        values["weights"] = weights.sha256
    _update_subject(connection, claim.job, values)


def fail(connection: Connection, claim: Claim, problem: Problem) -> None:
    """End the job: it cannot be done, and another attempt would not change that."""
    _end(connection, claim, {"state": "failed", "problem": _document(problem)})
    _refuse_subject(connection, claim.job, problem)


def cancelled(connection: Connection, claim: Claim) -> None:
    """End the job because somebody asked for that."""
    _end(connection, claim, {"state": "cancelled"})
    _refuse_subject(connection, claim.job, _CANCELLED)


def mark_lost(connection: Connection, claim: Claim, attempts: int) -> None:
    """Count the attempt as lost through no fault of the job: queue it again, unless it lost ``attempts`` already."""
    job = connection.execute(select(jobs).where(_held(claim))).first()
    if job is None:
        raise StaleError(claim)
    _mark_lost(connection, job, attempts)


def requeue(connection: Connection, claim: Claim) -> None:
    """Queue the job again without counting its attempt as lost: its worker is about to stop."""
    job = connection.execute(select(jobs.c.state).where(_held(claim))).first()
    if job is not None and job.state == "cancelling":
        cancelled(connection, claim)
    else:
        _end(connection, claim, {"state": "queued"})


def expire(connection: Connection, now: float, attempts: int, dead: Collection[str] = ()) -> int:
    """Lose the attempts whose lease has ended, and those of workers that are known to be ``dead``; how many."""
    over = and_(jobs.c.state.in_(HELD), or_(jobs.c.lease_expires_at < now, jobs.c.worker.in_(dead)))
    found = connection.execute(select(jobs).where(over)).all()
    for job in found:
        _mark_lost(connection, job, attempts)
    return len(found)


_CANCELLED = Problem(
    title="The check was cancelled",
    status=409,
    code="cancelled",
    detail="the check of this file was cancelled, so the file cannot be used; delete it here, and register it again.",
)


def _queued(lane: Lane) -> Any:
    """Identities grow with time, so the least is the oldest."""
    kind = jobs.c.kind == "check" if lane == "check" else and_(jobs.c.slot == lane, jobs.c.kind != "check")
    return select(jobs).where(jobs.c.state == "queued", kind).order_by(jobs.c.id).limit(1)


def _held(claim: Claim) -> Any:
    return and_(
        jobs.c.id == claim.job,
        jobs.c.attempt == claim.attempt,
        jobs.c.worker == claim.worker,
        jobs.c.state.in_(HELD),
    )


def _touch(connection: Connection, claim: Claim) -> None:
    """Refuse a stale claim."""
    if not states_of(connection, [claim]):
        raise StaleError(claim)


def _end(connection: Connection, claim: Claim, values: Mapping[str, Any]) -> None:
    """Let go of the job, in the state that ``values`` names; once it is over, nobody needs its passes' logits."""
    over = values["state"] != "queued"
    released = {"worker": None, "lease_expires_at": None, "finished_at": time.time() if over else None}
    changed = connection.execute(update(jobs).where(_held(claim)).values(**released, **values))
    if not changed.rowcount:
        raise StaleError(claim)
    if over:
        connection.execute(update(trials).where(trials.c.job == claim.job).values(blob=None))
    append(connection, claim.job, claim.attempt, "state", dict(values))


def _mark_lost(connection: Connection, job: Row[Any], attempts: int) -> None:
    claim = Claim(job.id, job.attempt, job.worker)
    lost_attempts = job.lost_attempts + 1
    connection.execute(update(jobs).where(_held(claim)).values(lost_attempts=lost_attempts))
    if job.state == "cancelling":
        cancelled(connection, claim)
    elif lost_attempts >= attempts:
        fail(connection, claim, WORKER_DIED)
    else:
        _end(connection, claim, {"state": "queued"})


def _refuse_subject(connection: Connection, job: str, problem: Problem) -> None:
    """Where the job was a check: the file it was to open is refused."""
    _update_subject(connection, job, {"state": "refused", "problem": _document(problem)})


def _update_subject(connection: Connection, job: str, values: Mapping[str, Any]) -> None:
    """Where the job is a check, set those of ``values`` that its model or dataset has: data have no ``weights``."""
    row = connection.execute(select(jobs.c.kind, jobs.c.model, jobs.c.dataset).where(jobs.c.id == job)).one()
    if row.kind != "check":
        return
    table, identity = (models, row.model) if row.model is not None else (datasets, row.dataset)
    checking = and_(table.c.id == identity, table.c.state == "checking")
    connection.execute(update(table).where(checking).values({k: v for k, v in values.items() if k in table.c}))


def _document(problem: Problem) -> dict[str, Any]:
    return problem.model_dump(mode="json", exclude_none=True)
