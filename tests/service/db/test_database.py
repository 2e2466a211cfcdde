"""The database: one writer, undisturbed readers, no half-done work, and no newer database."""

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError

from service.db import Database, open_database
from service.db.database import FILE
from service.db.tables import blobs, metadata, models
from service.errors import NewerDatabaseError


def _add(database: Database, sha256: str) -> None:
    with database.write() as connection:
        connection.execute(insert(blobs).values(sha256=sha256, size=1, created_at=0.0))


def _add_both(database: Database, one: str, other: str) -> None:
    with database.write() as connection:
        for sha256 in (one, other):
            connection.execute(insert(blobs).values(sha256=sha256, size=1, created_at=0.0))


def _count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(blobs)).scalar_one())


def test_the_steps_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    with open_database(tmp_path).read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_keeps_everything(tmp_path: Path) -> None:
    _add(open_database(tmp_path), "a")
    assert _count(open_database(tmp_path)) == 1


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with open_database(tmp_path).write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(NewerDatabaseError, match="'9999'"):
        open_database(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_an_exception_undoes_the_whole_block(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with pytest.raises(IntegrityError):
        _add_both(database, "a", "a")
    assert _count(database) == 0


def test_readers_see_one_moment_while_another_writes(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    _add(database, "a")
    with database.read() as connection:
        count = select(func.count()).select_from(blobs)
        assert connection.execute(count).scalar_one() == 1
        writer = threading.Thread(target=_add, args=(database, "b"))
        writer.start()
        writer.join()
        assert connection.execute(count).scalar_one() == 1
    assert _count(database) == 2


def test_writers_wait_for_each_other_and_lose_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    _add(database, "count")

    def count_up() -> None:
        for _ in range(20):
            with database.write() as connection:
                size = connection.execute(select(blobs.c.size)).scalar_one()
                connection.execute(blobs.update().values(size=size + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(select(blobs.c.size)).scalar_one() == 81


def test_opening_at_once_from_several_threads_makes_one_database(tmp_path: Path) -> None:
    threads = [threading.Thread(target=open_database, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _count(open_database(tmp_path)) == 0


def test_a_new_database_that_another_process_writes_to_is_waited_for(tmp_path: Path) -> None:
    """SQLite's own timeout does not wait for the lock that a change to WAL needs."""
    holder = sqlite3.connect(tmp_path / FILE, check_same_thread=False, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, holder.close)
    release.start()
    assert _count(open_database(tmp_path)) == 0
    release.join()


def test_a_file_that_is_no_database_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(tmp_path).close()
    (tmp_path / FILE).write_bytes(b"this is no database, and never will be one" * 100)
    monkeypatch.setattr("service.db.database.BUSY_SECONDS", float("inf"))
    with pytest.raises(DatabaseError, match="not a database"):
        open_database(tmp_path)


def test_what_refers_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError), open_database(tmp_path).write() as connection:
        connection.execute(
            insert(models).values(
                id="m", name="", file_name="", blob="0" * 64, architecture_args={}, state="checking", created_at=0.0
            )
        )
