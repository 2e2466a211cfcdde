"""The supervisor with children that do their worst, each as its data file is called."""

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
from service.worker.throttle import EVENTS_PER_INTERVAL
from tests.service.executor_contract import alive, until
from tests.service.house import House
from tests.service.worker.test_local import PUPPET

OVER = ("succeeded", "failed", "cancelled")


class Stage:
    """A house, and supervisors over puppets in it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.executors: list[LocalExecutor] = []

    def supervisor(self, worker: str = "one", **settings: Any) -> Supervisor:
        executor = LocalExecutor(self.house.folder / "scratch" / worker, 0.5, command=PUPPET)
        self.executors.append(executor)
        chosen = Settings(data_dir=self.house.folder, **settings)
        return Supervisor(self.house.database, self.house.blobs, executor, chosen, worker)

    def job(self, does: str, kind: str = "evaluate", state: str = "ready", **columns: Any) -> str:
        file = self.house.folder / f"{does}.npz"
        file.write_text(does)
        if kind != "check":
            recipe = PRESETS["measure"].model_dump(mode="json")
            columns = {"model": self.house.model(file, "ready"), "recipe": recipe, **columns}
        return self.house.job(kind, dataset=self.house.dataset(file, state), **columns)

    def run(self, supervisor: Supervisor, *jobs: str) -> None:
        until(lambda: supervisor.step() and all(self.house.row(job).state in OVER for job in jobs))

    def until_running(self, supervisor: Supervisor, job: str) -> None:
        """Until the child itself has spoken."""
        until(lambda: supervisor.step() and any(event.type == "progress" for event in self.house.events(job)))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("service.db.database.BUSY_SECONDS", 0.2)
    monkeypatch.setattr("service.worker.supervisor.MAX_FILES", 10)
    return House(tmp_path)


@pytest.fixture
def stage(house: House) -> Iterator[Stage]:
    stage = Stage(house)
    yield stage
    for executor in stage.executors:
        executor.close()


def test_a_job_is_carried_out(house: House, stage: Stage) -> None:
    job = stage.job("finish")
    supervisor = stage.supervisor()
    stage.run(supervisor, job)
    row = house.row(job)
    assert (row.state, row.verdict, row.attempt, row.lost_attempts) == ("succeeded", "improved", 1, 0)
    assert house.artifacts(job) == {"summary.json": b"{}"}
    assert [event.type for event in house.events(job)] == ["state", "artifact", "progress", "state"]
    assert supervisor.idle
    assert not list((house.folder / "scratch" / "one").iterdir())


@pytest.mark.parametrize("does", ["crash", "fail_silently", "unfinished_line", "nothing_out", "link_out", "many_files"])
def test_what_dies_or_lies_is_tried_again_and_then_given_up(house: House, stage: Stage, does: str) -> None:
    job = stage.job(does)
    stage.run(stage.supervisor(attempts=2), job)
    row = house.row(job)
    assert (row.state, row.attempt) == ("failed", 2)
    assert row.problem["code"] == "worker-died"
    assert house.states(job) == ["running", "queued", "running", "failed"]
    assert "summary.json" not in house.artifacts(job)


def test_what_names_its_failure_is_not_tried_again(house: House, stage: Stage) -> None:
    job = stage.job("fail")
    stage.run(stage.supervisor(), job)
    assert (house.row(job).state, house.row(job).attempt) == ("failed", 1)
    assert house.row(job).problem["detail"] == "It cannot be read."


def test_what_is_done_is_done_even_if_the_child_dies_then(house: House, stage: Stage) -> None:
    job = stage.job("crash_at_the_end")
    stage.run(stage.supervisor(), job)
    assert (house.row(job).state, house.row(job).attempt) == ("succeeded", 1)


def test_another_attempt_is_given_the_finished_passes(house: House, stage: Stage) -> None:
    job = stage.job("crash_after_a_trial")
    stage.run(stage.supervisor(), job)
    assert house.states(job) == ["running", "queued", "running", "succeeded"]
    assert house.artifacts(job) == {"found.txt": b"logits"}
    assert [trial.attempt for trial in house.trials(job)] == [1]


@pytest.mark.parametrize("does", ["wait", "block_signals"])
def test_a_cancelled_job_ends_within_three_seconds(house: House, stage: Stage, does: str) -> None:
    job = stage.job(does)
    supervisor = stage.supervisor()
    stage.until_running(supervisor, job)
    house.set(job, state="cancelling")
    begun = time.monotonic()
    stage.run(supervisor, job)
    assert house.row(job).state == "cancelled"
    assert time.monotonic() - begun < 3


def test_a_job_has_its_time(house: House, stage: Stage) -> None:
    job = stage.job("wait", timeout_seconds=1.0)
    stage.run(stage.supervisor(), job)
    assert (house.row(job).state, house.row(job).attempt) == ("failed", 1)
    assert house.row(job).problem["code"] == "timeout"


def test_a_job_that_was_taken_away_is_stopped_and_not_written_to(house: House, stage: Stage) -> None:
    job = stage.job("wait")
    supervisor = stage.supervisor()
    stage.until_running(supervisor, job)
    (child,) = stage.executors[0].children()
    house.set(job, attempt=2, worker="two")
    before = house.everything()
    until(lambda: supervisor.step() and supervisor.idle, 3)
    assert not alive(child)
    assert house.everything() == before


def test_a_stopped_worker_puts_its_jobs_back(house: House, stage: Stage) -> None:
    job, later = stage.job("wait"), stage.job("finish")
    supervisor = stage.supervisor()
    stage.until_running(supervisor, job)
    supervisor.stop()
    until(lambda: supervisor.step() and supervisor.idle, 3)
    assert (house.row(job).state, house.row(job).lost_attempts, house.row(later).state) == ("queued", 0, "queued")


def test_a_draining_worker_ends_what_it_began_and_begins_nothing(house: House, stage: Stage) -> None:
    job, later = stage.job("finish_later"), stage.job("finish")
    supervisor = stage.supervisor()
    stage.until_running(supervisor, job)
    supervisor.drain()
    until(lambda: supervisor.step() and supervisor.idle)
    assert (house.row(job).state, house.row(later).state) == ("succeeded", "queued")


def test_a_flood_of_progress_is_a_trickle_of_events(house: House, stage: Stage) -> None:
    job = stage.job("flood")
    begun = time.monotonic()
    stage.run(stage.supervisor(), job)
    told = [event.data["done"] for event in house.events(job) if event.type == "progress"]
    assert told == sorted(told)
    assert told[-1] == 19_999
    assert len(told) <= 4 * (time.monotonic() - begun) + 2 < EVENTS_PER_INTERVAL


def test_a_check_opens_its_subject_and_does_not_wait_for_jobs(house: House, stage: Stage) -> None:
    waiting = stage.job("wait")
    check = stage.job("checked", "check", "checking")
    stage.run(stage.supervisor(), check)
    assert house.row(waiting).state == "running"
    subject = house.row(house.row(check).dataset)
    assert (subject.state, subject.facts) == ("ready", {"n": 3})


def test_there_are_no_more_jobs_than_places(house: House, stage: Stage) -> None:
    jobs = [stage.job("wait") for _ in range(3)]
    stage.job("wait", slot="gpu")
    supervisor = stage.supervisor(cpu_slots=2)
    for _ in range(5):
        supervisor.step()
    assert [house.row(job).state for job in jobs] == ["running", "running", "queued"]
    assert len(stage.executors[0].children()) == 2


def test_two_workers_carry_out_each_job_once(house: House, stage: Stage) -> None:
    jobs = [stage.job("finish") for _ in range(8)]
    workers = [stage.supervisor("one"), stage.supervisor("two")]
    until(lambda: all(worker.step() for worker in workers) and all(house.row(job).state in OVER for job in jobs))
    assert [house.states(job) for job in jobs] == [["running", "succeeded"]] * 8


def test_a_dead_worker_s_jobs_go_on_elsewhere(house: House, stage: Stage) -> None:
    job = stage.job("finish")
    with house.database.write() as connection:
        attempts.claim(connection, "cpu", "dead", time.time() + 1000)
    supervisor = stage.supervisor()
    supervisor.step()
    assert house.row(job).worker == "dead"
    supervisor.recover(("dead",))
    stage.run(supervisor, job)
    assert house.states(job) == ["running", "queued", "running", "succeeded"]


def test_while_the_database_is_locked_everything_waits(house: House, stage: Stage) -> None:
    job = stage.job("finish")
    supervisor = stage.supervisor()
    until(lambda: supervisor.step() and house.row(job).state == "running")
    other = sqlite3.connect(house.folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        time.sleep(0.2)
        supervisor.step()
    assert not supervisor.step()
    assert house.row(job).state == "running"
    other.execute("ROLLBACK")
    other.close()
    stage.run(supervisor, job)
    assert house.artifacts(job) == {"summary.json": b"{}"}
    assert house.states(job) == ["running", "succeeded"]


def test_a_file_that_finds_no_space_fails_its_job(house: House, stage: Stage) -> None:
    job = stage.job("big_file")
    supervisor = stage.supervisor()
    until(lambda: supervisor.step() and house.row(job).state == "running")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        stage.run(supervisor, job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (house.row(job).state, house.row(job).attempt) == ("failed", 1)
    assert house.row(job).problem["code"] == "no-space"
    assert not list((house.folder / "staging").iterdir())


@pytest.mark.parametrize(
    "columns", [{"settings": {"batch_size": 0}}, {"recipe": {"steps": []}}, {"slot": "tpu"}, {"model": None}]
)
def test_a_row_that_makes_no_sense_stops_nobody(house: House, stage: Stage, columns: dict[str, Any]) -> None:
    senseless, sensible = stage.job("finish", **columns), stage.job("finish")
    stage.run(stage.supervisor(), sensible)
    assert house.row(senseless).state == ("queued" if "slot" in columns else "failed")


def test_the_name_of_a_file_is_made_harmless(house: House, stage: Stage) -> None:
    job = stage.job("finish")
    with house.database.write() as connection:
        connection.exec_driver_sql("UPDATE datasets SET file_name = '../../finish.npz'")
    stage.run(stage.supervisor(), job)
    assert house.row(job).state == "succeeded"
