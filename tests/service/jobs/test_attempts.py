"""The life of a job: what each change does, and that a stale attempt changes nothing."""

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
from tests.service.house import House

PROBLEM = Problem(title="No", status=422, code="model", detail="It does not fit.")
BLOB = Blob("ab" * 32, 3)
KEY = "cd" * 32


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def claim(
    house: House, worker: str = "one", lease_expires_at: float = 100.0, queue: attempts.QueueName = "cpu"
) -> Claim:
    with house.database.write() as connection:
        found = attempts.claim(connection, queue, worker, lease_expires_at)
    assert found is not None
    return found[0]


def write(house: House, change: Callable[..., Any], *arguments: Any) -> Any:
    with house.database.write() as connection:
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


def test_the_oldest_of_a_lane_is_claimed_once(house: House) -> None:
    first, second, check, gpu = (
        house.job("calibrate"),
        house.job("evaluate"),
        house.job("check"),
        house.job("calibrate", slot="gpu"),
    )
    assert [claim(house).job, claim(house).job] == [first, second]
    assert claim(house, queue="check").job == check
    assert claim(house, queue="gpu").job == gpu
    with house.database.write() as connection:
        for queue in ("cpu", "gpu", "check"):
            assert not attempts.has_queued(connection, queue)
            assert attempts.claim(connection, queue, "two", 100.0) is None
    assert house.row(first).started_at is not None
    assert house.states(first) == ["running"]


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("how", ["claimed again", "ended", "another worker", "never claimed", "deleted"])
def test_a_stale_attempt_writes_nothing(house: House, name: str, how: str) -> None:
    job = house.job("calibrate")
    stale = claim(house)
    if how == "claimed again":
        write(house, attempts.expire_leases, 200.0, 3)
        claim(house)
    elif how == "ended":
        write(house, attempts.succeed, stale, None)
    elif how == "another worker":
        stale = Claim(job, stale.attempt, "two")
    elif how == "never claimed":
        stale = Claim(job, 2, "one")
    else:
        write(house, lambda connection: connection.exec_driver_sql("DELETE FROM jobs"))
    before = house.everything()
    with pytest.raises(StaleClaimError):
        write(house, WRITES[name], stale)
    assert house.everything() == before


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
def test_each_change_is_told_as_an_event(house: House, name: str, state: str, events: list[str]) -> None:
    job = house.job("calibrate")
    write(house, WRITES[name], claim(house))
    row = house.row(job)
    assert row.state == state
    assert [event.type for event in house.events(job)] == events
    assert house.states(job)[-1] == state
    assert (row.worker is None) == (row.lease_expires_at is None) == (state != "running")
    assert (row.finished_at is not None) == (state in ("succeeded", "failed", "cancelled"))


def test_a_job_is_lost_so_often_and_then_fails(house: House) -> None:
    job = house.job("calibrate")
    for number in (1, 2):
        assert claim(house).attempt == number
        assert write(house, attempts.expire_leases, 99.0, 3) == 0
        assert write(house, attempts.expire_leases, 101.0, 3) == 1
        assert house.row(job).state == "queued"
    write(house, attempts.requeue, claim(house))
    assert (house.row(job).state, house.row(job).lost_attempts) == ("queued", 2)
    write(house, attempts.record_lost_attempt, claim(house), 3)
    assert (house.row(job).state, house.row(job).attempt) == ("failed", 4)
    assert house.row(job).problem["code"] == "worker-died"


@pytest.mark.parametrize("name", ["record_lost_attempt", "requeue"])
def test_what_is_being_cancelled_is_not_queued_again(house: House, name: str) -> None:
    job = house.job("calibrate")
    held = claim(house)
    house.set(job, state="cancelling")
    write(house, WRITES[name], held)
    assert house.row(job).state == "cancelled"


def test_an_expired_lease_and_a_dead_worker_let_go(house: House) -> None:
    jobs = [house.job("calibrate") for _ in range(3)]
    claim(house, "one", 100.0), claim(house, "two", 300.0), claim(house, "three", 300.0)
    write(house, attempts.expire_leases, 200.0, 3, ["two"])
    assert [house.row(job).state for job in jobs] == ["queued", "queued", "running"]


def test_renewing_extends_what_is_still_held(house: House) -> None:
    first, second = house.job("calibrate"), house.job("calibrate")
    kept, stale = claim(house), claim(house)
    write(house, attempts.record_lost_attempt, stale, 3)
    taken = claim(house, "two", 150.0)
    write(house, attempts.renew_leases, [kept, stale], 500.0)
    assert (house.row(first).lease_expires_at, house.row(second).lease_expires_at) == (500.0, 150.0)
    with house.database.read() as connection:
        assert attempts.states_of(connection, [kept, stale, taken]) == {kept: "running", taken: "running"}
        assert attempts.states_of(connection, []) == {}


def test_trials_are_kept_once_and_artifacts_replaced(house: House) -> None:
    job = house.job("calibrate")
    held = claim(house)
    write(house, attempts.record_trial, held, KEY, "stage", 3, BLOB)
    write(house, attempts.record_trial, held, KEY, "stage", 3, Blob("ef" * 32, 3))
    with house.database.read() as connection:
        assert attempts.trials_of(connection, job) == {KEY: BLOB.sha256}
    assert [event.type for event in house.events(job)].count("trial") == 1
    (house.folder / "one").write_text("one")
    (house.folder / "two").write_text("two")
    for name in ("one", "two"):
        write(house, attempts.record_artifact, held, "a.txt", "text/plain", house.blobs.copy(house.folder / name))
    assert house.artifacts(job) == {"a.txt": b"two"}


def test_the_logits_of_passes_are_let_go_once_the_job_is_over(house: House) -> None:
    job = house.job("calibrate")
    held = claim(house)
    write(house, attempts.record_trial, held, KEY, "stage", 3, BLOB)
    write(house, attempts.requeue, held)
    held = claim(house)
    with house.database.read() as connection:
        assert attempts.trials_of(connection, job) == {KEY: BLOB.sha256}
    write(house, attempts.succeed, held, None)
    assert [(trial.key, trial.blob) for trial in house.trials(job)] == [(KEY, None)]


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("succeed_check", "ready", None),
        ("fail", "refused", "model"),
        ("cancel", "refused", "cancelled"),
        ("die", "refused", "worker-died"),
    ],
)
def test_the_end_of_a_check_is_the_state_of_what_it_checked(
    house: House, demo_inputs: DemoInputs, kind: str, name: str, state: str, code: str | None
) -> None:
    make = house.model if kind == "model" else house.dataset
    subject, other = (make(demo_inputs.checkpoint, "checking") for _ in range(2))
    house.job("check", **{kind: subject})
    held = claim(house, queue="check")
    write(house, WRITES.get(name, lambda c, claim: attempts.record_lost_attempt(c, claim, 1)), held)
    row = house.row(subject)
    assert row.state == state
    assert (row.problem and row.problem["code"]) == code
    assert row.facts == ({"n": 3} if state == "ready" else None)
    if kind == "model":
        assert row.weights == (BLOB.sha256 if state == "ready" else None)
    assert house.row(other).state == "checking"


def test_other_jobs_leave_their_model_as_it_is(house: House, demo_inputs: DemoInputs) -> None:
    model = house.demo_model(demo_inputs)
    house.job("calibrate", model=model)
    write(house, attempts.fail, claim(house), PROBLEM)
    assert (house.row(model).state, house.row(model).problem) == ("ready", None)
