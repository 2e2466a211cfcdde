"""A database of an older version: what was queued or running in it finishes after the upgrade."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import insert, inspect

from calibrate.demo import DemoInputs
from calibrate.recipe import Recipe
from service.db.tables import artifacts, metadata, trials
from service.jobs import attempts, idempotency
from service.jobs.attempts import Claim
from service.jobs.events import append
from tests.service.server_data import ServerData
from tests.service.worker.server import Server

GENTLE = Recipe(steps=[{"kind": "temperature"}, {"kind": "measure", "resamples": 200}])


#: What later steps call the columns of jobs.
RENAMED = {"lost": "lost_attempts", "lease_until": "lease_expires_at"}
FAR_FUTURE = 4e9


def old_server_data(folder: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> ServerData:
    """A server's folder, whose database is at ``revision``."""
    upgrade = command.upgrade
    with monkeypatch.context() as then:
        then.setattr("service.db.upgrade.command.upgrade", lambda config, _: upgrade(config, revision))
        return ServerData(folder)


def columns_of_jobs(server_data: ServerData) -> set[str]:
    with server_data.database.read() as connection:
        return {column["name"] for column in inspect(connection).get_columns("jobs")}


def set_old(server_data: ServerData, job: str, **values: object) -> None:
    """Change a row by the column names of its database, which are not those of the code."""
    assignments = ", ".join(f"{name} = ?" for name in values)
    with server_data.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET {assignments} WHERE id = ?", (*values.values(), job))


def rows(server_data: ServerData) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables, by the column names of the database."""
    names = [table.name for table in metadata.sorted_tables]
    with server_data.database.read() as connection:
        return {
            name: [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()]
            for name in names
        }


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_jobs_of_before_the_upgrade_finish_after_it(
    tmp_path: Path, demo_inputs: DemoInputs, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    server_data = old_server_data(tmp_path, revision, monkeypatch)
    assert ("training_dataset" in columns_of_jobs(server_data)) == (revision != "0001")
    data = server_data.demo_model(demo_inputs), server_data.dataset(demo_inputs.scanned)
    jobs = server_data.quick_job(*data, GENTLE), server_data.quick_job(*data, GENTLE)
    set_old(server_data, jobs[1], state="running", attempt=1, worker="gone", lease_until=1.0, started_at=1.0)
    server_data.database.close()
    server = Server(tmp_path)
    server.run(*jobs)
    ended = [server.server_data.row(job) for job in jobs]
    assert [(row.state, row.attempt, row.lost_attempts, row.training_dataset) for row in ended] == [
        ("succeeded", 1, 0, None),
        ("succeeded", 2, 1, None),
    ]
    assert len({server.server_data.summary(job)["verdict"] for job in jobs}) == 1
    server.executor.close()


def test_leases_and_lost_attempts_keep_their_values_under_their_new_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_data = old_server_data(tmp_path, "0002", monkeypatch)
    assert {"lost", "lease_until"} < columns_of_jobs(server_data)
    queued, running, retried = (server_data.job("calibrate") for _ in range(3))
    set_old(server_data, running, state="running", attempt=1, worker="one", lease_until=FAR_FUTURE, started_at=5.0)
    set_old(server_data, retried, attempt=2, lost=2)
    server_data.database.close()
    server_data = ServerData(tmp_path)
    assert not {"lost", "lease_until"} & columns_of_jobs(server_data)
    found = [server_data.row(job) for job in (queued, running, retried)]
    assert [(row.state, row.attempt, row.worker, row.lease_expires_at, row.lost_attempts) for row in found] == [
        ("queued", 0, None, None, 0),
        ("running", 1, "one", FAR_FUTURE, 0),
        ("queued", 2, None, None, 2),
    ]
    claim = Claim(running, 1, "one")
    with server_data.database.write() as connection:
        assert attempts.expire_leases(connection, FAR_FUTURE - 1, 3) == 0
        assert attempts.states_of(connection, [claim]) == {claim: "running"}
        attempts.succeed(connection, claim, None)
        oldest = attempts.claim(connection, "cpu", "two", FAR_FUTURE)
        assert oldest is not None
        assert oldest[0] == Claim(queued, 1, "two")
        next_claim = attempts.claim(connection, "cpu", "two", FAR_FUTURE)
        assert next_claim is not None
        attempts.record_lost_attempt(connection, next_claim[0], 3)
    assert (server_data.row(retried).state, server_data.row(retried).lost_attempts) == ("failed", 3)


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_the_upgrade_keeps_every_row(
    tmp_path: Path, demo_inputs: DemoInputs, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    server_data = old_server_data(tmp_path, revision, monkeypatch)
    data = server_data.demo_model(demo_inputs), server_data.dataset(demo_inputs.scanned)
    job = server_data.quick_job(*data)
    with server_data.database.write() as connection:
        append(connection, job, 0, "state", {"state": "queued"})
        idempotency.store_key(connection, "key", "ab" * 32, job)
        trial = {"job": job, "key": "cd" * 32, "stage": "alpha", "examples": 3, "attempt": 1, "created_at": 1.0}
        connection.execute(insert(trials).values(trial))
        blob = connection.exec_driver_sql("SELECT blob FROM models").scalar_one()
        connection.execute(insert(artifacts).values(job=job, name="a.txt", media_type="text/plain", blob=blob))
    before = rows(server_data)
    assert {name for name, found in before.items() if not found} == {"uploads"}
    server_data.database.close()
    after = rows(ServerData(tmp_path))
    for name, old in before.items():
        wanted = [{RENAMED.get(column, column): value for column, value in row.items()} for row in old]
        kept = [{column: row[column] for column in first} for first, row in zip(wanted, after[name], strict=True)]
        assert kept == wanted
