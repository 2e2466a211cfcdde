"""Claims, leases, retries and results: what each write does, and that a stale claim writes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from calibrate.demo import DemoInputs
from service.jobs import attempts
from service.jobs.attempts import Claim, StaleClaimError
from service.kit.problem import Problem
from service.storage import Blob
from tests.service.server_data import ServerData

PROBLEM = Problem(title="No", status=422, code="model", detail="It does not fit.")
BLOB = Blob("ab" * 32, 3)
KEY = "cd" * 32


@pytest.fixture
def server_data(tmp_path: Path) -> ServerData:
    return ServerData(tmp_path)


def claim(
    server_data: ServerData, worker: str = "one", lease_expires_at: float = 100.0, queue: attempts.QueueName = "cpu"
) -> Claim:
    with server_data.database.write() as connection:
        found = attempts.claim(connection, queue, worker, lease_expires_at)
    assert found is not None
    return found[0]


def write(server_data: ServerData, change: Callable[..., Any], *arguments: Any) -> Any:
    with server_data.database.write() as connection:
        return change(connection, *arguments)


WRITES: dict[str, Callable[[Connection, Claim], Any]] = {
    "progress": lambda c, claim: attempts.record_progress(c, claim, "stage", 1, 2),
    "unprotected": lambda c, claim: attempts.record_unprotected(c, claim, ["no network"]),
    "trial": lambda c, claim: attempts.record_trial(c, claim, KEY, "stage", 3, BLOB),
    "artifact": lambda c, claim: attempts.record_artifact(c, claim, "summary.json", "application/json", BLOB),
    "succeed": lambda c, claim: attempts.succeed(c, claim, "improved"),
    "succeed_check": lambda c, claim: attempts.succeed_check(c, claim, {"n": 3}, BLOB),
    "fail": lambda c, claim: attempts.fail(c, claim, PROBLEM),
    "cancel": attempts.cancel,
    "record_lost_attempt": lambda c, claim: attempts.record_lost_attempt(c, claim, 3),
    "requeue": attempts.requeue,
}


def test_the_oldest_job_of_a_queue_is_claimed_once(server_data: ServerData) -> None:
    first, second, check, gpu = (
        server_data.job("calibrate"),
        server_data.job("evaluate"),
        server_data.job("check"),
        server_data.job("calibrate", slot="gpu"),
    )
    assert [claim(server_data).job, claim(server_data).job] == [first, second]
    assert claim(server_data, queue="check").job == check
    assert claim(server_data, queue="gpu").job == gpu
    with server_data.database.write() as connection:
        for queue in ("cpu", "gpu", "check"):
            assert not attempts.has_queued(connection, queue)
            assert attempts.claim(connection, queue, "two", 100.0) is None
    assert server_data.row(first).started_at is not None
    assert server_data.states(first) == ["running"]


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("how", ["claimed again", "ended", "another worker", "never claimed", "deleted"])
def test_a_stale_attempt_writes_nothing(server_data: ServerData, name: str, how: str) -> None:
    job = server_data.job("calibrate")
    stale = claim(server_data)
    if how == "claimed again":
        write(server_data, attempts.expire_leases, 200.0, 3)
        claim(server_data)
    elif how == "ended":
        write(server_data, attempts.succeed, stale, None)
    elif how == "another worker":
        stale = Claim(job, stale.attempt, "two")
    elif how == "never claimed":
        stale = Claim(job, 2, "one")
    else:
        write(server_data, lambda connection: connection.exec_driver_sql("DELETE FROM jobs"))
    before = server_data.everything()
    with pytest.raises(StaleClaimError):
        write(server_data, WRITES[name], stale)
    assert server_data.everything() == before


@pytest.mark.parametrize(
    ("name", "state", "events"),
    [
        ("progress", "running", ["state", "progress"]),
        ("trial", "running", ["state", "trial"]),
        ("artifact", "running", ["state", "artifact"]),
        ("succeed", "succeeded", ["state", "state"]),
        ("fail", "failed", ["state", "state"]),
        ("cancel", "cancelled", ["state", "state"]),
        ("record_lost_attempt", "queued", ["state", "state"]),
        ("requeue", "queued", ["state", "state"]),
    ],
)
def test_each_change_appends_an_event(server_data: ServerData, name: str, state: str, events: list[str]) -> None:
    job = server_data.job("calibrate")
    write(server_data, WRITES[name], claim(server_data))
    row = server_data.row(job)
    assert row.state == state
    assert [event.type for event in server_data.events(job)] == events
    assert server_data.states(job)[-1] == state
    assert (row.worker is None) == (row.lease_expires_at is None) == (state != "running")
    assert (row.finished_at is not None) == (state in ("succeeded", "failed", "cancelled"))


def test_a_job_fails_after_so_many_lost_attempts(server_data: ServerData) -> None:
    job = server_data.job("calibrate")
    for number in (1, 2):
        assert claim(server_data).attempt == number
        assert write(server_data, attempts.expire_leases, 99.0, 3) == 0
        assert write(server_data, attempts.expire_leases, 101.0, 3) == 1
        assert server_data.row(job).state == "queued"
    write(server_data, attempts.requeue, claim(server_data))
    assert (server_data.row(job).state, server_data.row(job).lost_attempts) == ("queued", 2)
    write(server_data, attempts.record_lost_attempt, claim(server_data), 3)
    assert (server_data.row(job).state, server_data.row(job).attempt) == ("failed", 4)
    assert server_data.row(job).problem["code"] == "worker-died"


@pytest.mark.parametrize("name", ["record_lost_attempt", "requeue"])
def test_a_job_that_is_being_cancelled_is_not_requeued(server_data: ServerData, name: str) -> None:
    job = server_data.job("calibrate")
    held = claim(server_data)
    server_data.set(job, state="cancelling")
    write(server_data, WRITES[name], held)
    assert server_data.row(job).state == "cancelled"


def test_jobs_of_expired_leases_and_of_lost_workers_are_requeued(server_data: ServerData) -> None:
    jobs = [server_data.job("calibrate") for _ in range(3)]
    claim(server_data, "one", 100.0), claim(server_data, "two", 300.0), claim(server_data, "three", 300.0)
    write(server_data, attempts.expire_leases, 200.0, 3, ["two"])
    assert [server_data.row(job).state for job in jobs] == ["queued", "queued", "running"]


def test_renewing_extends_the_leases_of_claims_that_are_not_stale(server_data: ServerData) -> None:
    first, second = server_data.job("calibrate"), server_data.job("calibrate")
    current, stale = claim(server_data), claim(server_data)
    write(server_data, attempts.record_lost_attempt, stale, 3)
    reclaimed = claim(server_data, "two", 150.0)
    write(server_data, attempts.renew_leases, [current, stale], 500.0)
    assert (server_data.row(first).lease_expires_at, server_data.row(second).lease_expires_at) == (500.0, 150.0)
    with server_data.database.read() as connection:
        assert attempts.states_of(connection, [current, stale, reclaimed]) == {current: "running", reclaimed: "running"}
        assert attempts.states_of(connection, []) == {}


def test_trials_are_kept_once_and_artifacts_replaced(server_data: ServerData) -> None:
    job = server_data.job("calibrate")
    held = claim(server_data)
    write(server_data, attempts.record_trial, held, KEY, "stage", 3, BLOB)
    write(server_data, attempts.record_trial, held, KEY, "stage", 3, Blob("ef" * 32, 3))
    with server_data.database.read() as connection:
        assert attempts.trials_of(connection, job) == {KEY: BLOB.sha256}
    assert [event.type for event in server_data.events(job)].count("trial") == 1
    (server_data.folder / "one").write_text("one")
    (server_data.folder / "two").write_text("two")
    for name in ("one", "two"):
        write(
            server_data,
            attempts.record_artifact,
            held,
            "a.txt",
            "text/plain",
            server_data.blobs.copy(server_data.folder / name),
        )
    assert server_data.artifacts(job) == {"a.txt": b"two"}


def test_the_logits_of_passes_are_dropped_once_the_job_has_ended(server_data: ServerData) -> None:
    job = server_data.job("calibrate")
    held = claim(server_data)
    write(server_data, attempts.record_trial, held, KEY, "stage", 3, BLOB)
    write(server_data, attempts.requeue, held)
    held = claim(server_data)
    with server_data.database.read() as connection:
        assert attempts.trials_of(connection, job) == {KEY: BLOB.sha256}
    write(server_data, attempts.succeed, held, None)
    assert [(trial.key, trial.blob) for trial in server_data.trials(job)] == [(KEY, None)]


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("succeed_check", "ready", None),
        ("fail", "refused", "model"),
        ("cancel", "refused", "cancelled"),
        ("lost", "refused", "worker-died"),
    ],
)
def test_the_end_of_a_check_is_the_state_of_what_it_checked(
    server_data: ServerData, demo_inputs: DemoInputs, kind: str, name: str, state: str, code: str | None
) -> None:
    make = server_data.model if kind == "model" else server_data.dataset
    subject, other = (make(demo_inputs.checkpoint, "checking") for _ in range(2))
    server_data.job("check", **{kind: subject})
    held = claim(server_data, queue="check")
    write(server_data, WRITES.get(name, lambda c, claim: attempts.record_lost_attempt(c, claim, 1)), held)
    row = server_data.row(subject)
    assert row.state == state
    assert (row.problem and row.problem["code"]) == code
    assert row.facts == ({"n": 3} if state == "ready" else None)
    if kind == "model":
        assert row.weights == (BLOB.sha256 if state == "ready" else None)
    assert server_data.row(other).state == "checking"


def test_other_jobs_leave_their_model_as_it_is(server_data: ServerData, demo_inputs: DemoInputs) -> None:
    model = server_data.demo_model(demo_inputs)
    server_data.job("calibrate", model=model)
    write(server_data, attempts.fail, claim(server_data), PROBLEM)
    assert (server_data.row(model).state, server_data.row(model).problem) == ("ready", None)
