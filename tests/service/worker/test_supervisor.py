"""The supervisor with fake children, each of which does what its data file is called."""

import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calibrate.recipe import PRESETS
from service.db.database import FILE
from service.jobs import attempts
from service.settings import Settings
from service.worker.local import LocalExecutor
from service.worker.supervisor import Supervisor
from tests.service.executor_contract import alive, until
from tests.service.server_data import ServerData
from tests.service.worker.fake_child_command import FAKE_CHILD

OVER = ("succeeded", "failed", "cancelled")


class Harness:
    """A data directory, and supervisors whose children are fakes."""

    def __init__(self, server_data: ServerData) -> None:
        self.server_data = server_data
        self.executors: list[LocalExecutor] = []

    def supervisor(self, worker: str = "one", **settings: Any) -> Supervisor:
        executor = LocalExecutor(self.server_data.folder / "scratch" / worker, 0.5, command=FAKE_CHILD)
        self.executors.append(executor)
        chosen = Settings(data_dir=self.server_data.folder, **settings)
        return Supervisor(self.server_data.database, self.server_data.blobs, executor, chosen, worker)

    def job(self, does: str, kind: str = "evaluate", state: str = "ready", **columns: Any) -> str:
        file = self.server_data.folder / f"{does}.npz"
        file.write_text(does)
        if kind != "check":
            recipe = PRESETS["measure"].model_dump(mode="json")
            columns = {"model": self.server_data.model(file, "ready"), "recipe": recipe, **columns}
        return self.server_data.job(kind, dataset=self.server_data.dataset(file, state), **columns)

    def run(self, supervisor: Supervisor, *jobs: str) -> None:
        until(lambda: supervisor.step() and all(self.server_data.row(job).state in OVER for job in jobs))

    def until_running(self, supervisor: Supervisor, job: str) -> None:
        """Until the child has sent its first message."""
        until(lambda: supervisor.step() and any(event.type == "progress" for event in self.server_data.events(job)))


@pytest.fixture
def server_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerData:
    monkeypatch.setattr("service.db.database.BUSY_SECONDS", 0.2)
    monkeypatch.setattr("service.worker.supervisor.MAX_FILES", 10)
    return ServerData(tmp_path)


@pytest.fixture
def harness(server_data: ServerData) -> Iterator[Harness]:
    harness = Harness(server_data)
    yield harness
    for executor in harness.executors:
        executor.close()


def test_a_job_runs(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("finish")
    supervisor = harness.supervisor()
    harness.run(supervisor, job)
    row = server_data.row(job)
    assert (row.state, row.verdict, row.attempt, row.lost_attempts) == ("succeeded", "improved", 1, 0)
    assert server_data.artifacts(job) == {"summary.json": b"{}"}
    assert [event.type for event in server_data.events(job)] == ["state", "artifact", "progress", "state"]
    assert supervisor.idle
    assert not list((server_data.folder / "scratch" / "one").iterdir())


@pytest.mark.parametrize("does", ["crash", "fail_silently", "unfinished_line", "nothing_out", "link_out", "many_files"])
def test_lost_attempts_are_retried_until_the_job_fails(server_data: ServerData, harness: Harness, does: str) -> None:
    job = harness.job(does)
    harness.run(harness.supervisor(attempts=2), job)
    row = server_data.row(job)
    assert (row.state, row.attempt) == ("failed", 2)
    assert row.problem["code"] == "worker-died"
    assert server_data.states(job) == ["running", "queued", "running", "failed"]
    assert "summary.json" not in server_data.artifacts(job)


def test_a_reported_failure_is_not_retried(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("fail")
    harness.run(harness.supervisor(), job)
    assert (server_data.row(job).state, server_data.row(job).attempt) == ("failed", 1)
    assert server_data.row(job).problem["detail"] == "It cannot be read."


def test_a_job_that_reported_success_succeeds_even_if_its_child_crashes_then(
    server_data: ServerData, harness: Harness
) -> None:
    job = harness.job("crash_at_the_end")
    harness.run(harness.supervisor(), job)
    assert (server_data.row(job).state, server_data.row(job).attempt) == ("succeeded", 1)


def test_a_retry_gets_the_finished_passes(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("crash_after_a_trial")
    harness.run(harness.supervisor(), job)
    assert server_data.states(job) == ["running", "queued", "running", "succeeded"]
    assert server_data.artifacts(job) == {"found.txt": b"logits"}
    assert [trial.attempt for trial in server_data.trials(job)] == [1]


@pytest.mark.parametrize("does", ["wait", "block_signals"])
def test_a_cancelled_job_ends(server_data: ServerData, harness: Harness, does: str) -> None:
    job = harness.job(does)
    supervisor = harness.supervisor()
    harness.until_running(supervisor, job)
    server_data.set(job, state="cancelling")
    harness.run(supervisor, job)
    assert server_data.row(job).state == "cancelled"


def test_a_job_has_its_time(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("wait", timeout_seconds=1.0)
    harness.run(harness.supervisor(), job)
    assert (server_data.row(job).state, server_data.row(job).attempt) == ("failed", 1)
    assert server_data.row(job).problem["code"] == "timeout"


def test_an_attempt_whose_claim_is_stale_is_stopped_and_not_recorded(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("wait")
    supervisor = harness.supervisor()
    harness.until_running(supervisor, job)
    (child,) = harness.executors[0].children()
    server_data.set(job, attempt=2, worker="two")
    before = server_data.everything()
    until(lambda: supervisor.step() and supervisor.idle)
    assert not alive(child)
    assert server_data.everything() == before


def test_a_stopped_worker_requeues_its_jobs(server_data: ServerData, harness: Harness) -> None:
    job, later = harness.job("wait"), harness.job("finish")
    supervisor = harness.supervisor()
    harness.until_running(supervisor, job)
    supervisor.stop()
    until(lambda: supervisor.step() and supervisor.idle)
    assert (server_data.row(job).state, server_data.row(job).lost_attempts, server_data.row(later).state) == (
        "queued",
        0,
        "queued",
    )


def test_a_draining_worker_finishes_its_jobs_and_claims_none(server_data: ServerData, harness: Harness) -> None:
    job, later = harness.job("finish_later"), harness.job("finish")
    supervisor = harness.supervisor()
    harness.until_running(supervisor, job)
    supervisor.drain()
    until(lambda: supervisor.step() and supervisor.idle)
    assert (server_data.row(job).state, server_data.row(later).state) == ("succeeded", "queued")


def test_a_flood_of_progress_is_a_trickle_of_events(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("flood")
    begun = time.monotonic()
    harness.run(harness.supervisor(), job)
    counts = [event.data["done"] for event in server_data.events(job) if event.type == "progress"]
    assert counts == sorted(counts)
    assert counts[-1] == 19_999
    assert len(counts) <= 4 * (time.monotonic() - begun) + 2  # of 20,000


def test_a_check_opens_its_subject_and_does_not_wait_for_jobs(server_data: ServerData, harness: Harness) -> None:
    waiting = harness.job("wait")
    check = harness.job("checked", "check", "checking")
    harness.run(harness.supervisor(), check)
    assert server_data.row(waiting).state == "running"
    subject = server_data.row(server_data.row(check).dataset)
    assert (subject.state, subject.facts) == ("ready", {"n": 3})


def test_there_are_no_more_jobs_than_slots(server_data: ServerData, harness: Harness) -> None:
    jobs = [harness.job("wait") for _ in range(3)]
    harness.job("wait", slot="gpu")
    supervisor = harness.supervisor(cpu_slots=2)
    for _ in range(5):
        supervisor.step()
    assert [server_data.row(job).state for job in jobs] == ["running", "running", "queued"]
    assert len(harness.executors[0].children()) == 2


def test_two_workers_run_each_job_once(server_data: ServerData, harness: Harness) -> None:
    jobs = [harness.job("finish") for _ in range(8)]
    workers = [harness.supervisor("one"), harness.supervisor("two")]
    until(lambda: all(worker.step() for worker in workers) and all(server_data.row(job).state in OVER for job in jobs))
    assert [server_data.states(job) for job in jobs] == [["running", "succeeded"]] * 8


def test_jobs_of_a_lost_worker_are_retried_by_another(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("finish")
    with server_data.database.write() as connection:
        attempts.claim(connection, "cpu", "lost", time.time() + 1000)
    supervisor = harness.supervisor()
    supervisor.step()
    assert server_data.row(job).worker == "lost"
    supervisor.recover(("lost",))
    harness.run(supervisor, job)
    assert server_data.states(job) == ["running", "queued", "running", "succeeded"]


def test_while_the_database_is_locked_everything_waits(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("finish")
    supervisor = harness.supervisor()
    until(lambda: supervisor.step() and server_data.row(job).state == "running")
    other = sqlite3.connect(server_data.folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    until(lambda: not supervisor.step())
    assert server_data.row(job).state == "running"
    other.execute("ROLLBACK")
    other.close()
    harness.run(supervisor, job)
    assert server_data.artifacts(job) == {"summary.json": b"{}"}
    assert server_data.states(job) == ["running", "succeeded"]


def test_a_file_that_finds_no_space_fails_its_job(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("big_file")
    supervisor = harness.supervisor()
    until(lambda: supervisor.step() and server_data.row(job).state == "running")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        harness.run(supervisor, job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (server_data.row(job).state, server_data.row(job).attempt) == ("failed", 1)
    assert server_data.row(job).problem["code"] == "no-space"
    assert not list((server_data.folder / "staging").iterdir())


@pytest.mark.parametrize(
    "columns", [{"settings": {"batch_size": 0}}, {"recipe": {"steps": []}}, {"slot": "tpu"}, {"model": None}]
)
def test_a_row_that_makes_no_sense_stops_nobody(
    server_data: ServerData, harness: Harness, columns: dict[str, Any]
) -> None:
    senseless, sensible = harness.job("finish", **columns), harness.job("finish")
    harness.run(harness.supervisor(), sensible)
    assert server_data.row(senseless).state == ("queued" if "slot" in columns else "failed")


def test_the_name_of_a_file_is_made_harmless(server_data: ServerData, harness: Harness) -> None:
    job = harness.job("finish")
    with server_data.database.write() as connection:
        connection.exec_driver_sql("UPDATE datasets SET file_name = '../../finish.npz'")
    harness.run(harness.supervisor(), job)
    assert server_data.row(job).state == "succeeded"
