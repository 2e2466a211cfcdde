"""A database of an older version: what was queued or running in it finishes after the upgrade."""

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect

from calibrate.demo import DemoInputs
from calibrate.recipe import Recipe
from service.db.tables import metadata
from tests.service.house import House
from tests.service.worker.server import Server

GENTLE = Recipe(steps=[{"kind": "temperature"}, {"kind": "measure", "resamples": 200}])


def old_house(folder: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """A server's folder, whose database stands at ``revision``."""
    upgrade = command.upgrade
    with monkeypatch.context() as then:
        then.setattr("service.db.upgrade.command.upgrade", lambda config, _: upgrade(config, revision))
        return House(folder)


def test_jobs_of_before_the_upgrade_finish_after_it(
    tmp_path: Path, demo_inputs: DemoInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = old_house(tmp_path, "0001", monkeypatch)
    with house.database.read() as connection:
        assert "training_dataset" not in {column["name"] for column in inspect(connection).get_columns("jobs")}
    data = house.demo_model(demo_inputs), house.dataset(demo_inputs.scanned)
    held = {"state": "running", "attempt": 1, "worker": "gone", "lease_until": 1.0, "started_at": 1.0}
    jobs = house.quick_job(*data, GENTLE), house.quick_job(*data, GENTLE, **held)
    house.database.close()
    server = Server(tmp_path)
    server.run(*jobs)
    rows = [server.house.row(job) for job in jobs]
    assert [(row.state, row.attempt, row.training_dataset) for row in rows] == [
        ("succeeded", 1, None),
        ("succeeded", 2, None),
    ]
    assert len({server.house.summary(job)["verdict"] for job in jobs}) == 1
    server.executor.close()


def test_the_upgrade_keeps_every_row(tmp_path: Path, demo_inputs: DemoInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    house = old_house(tmp_path, "0001", monkeypatch)
    data = house.demo_model(demo_inputs), house.dataset(demo_inputs.scanned)
    house.quick_job(*data)
    names = [table.name for table in metadata.sorted_tables]
    with house.database.read() as connection:
        before = {name: connection.exec_driver_sql(f"SELECT * FROM {name}").mappings().all() for name in names}
    house.database.close()
    with House(tmp_path).database.read() as connection:
        after = {name: connection.exec_driver_sql(f"SELECT * FROM {name}").mappings().all() for name in names}
    for name in names:
        assert [dict(row) for row in before[name]] == [
            {column: row[column] for column in dict(old)} for old, row in zip(before[name], after[name], strict=True)
        ]
