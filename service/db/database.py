"""Open the database; read and write transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from service.db.upgrade import migrate

FILE = "afternorm.sqlite3"
BUSY_SECONDS = 10.0


class Database:
    """Transactions on a database, from any number of threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine
        self._writing = engine.execution_options(afternorm_write=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction: one consistent snapshot, which does not wait for writers."""
        with self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: the only one at a time; an exception rolls it back."""
        with self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._reading.dispose()


def open_database(data_dir: Path) -> Database:
    """Open the database in ``data_dir``; it is created or upgraded if needed.

    Raises NewerDatabaseError for a database that a newer version has upgraded.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        URL.create("sqlite", database=str(data_dir / FILE)),
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    migrate(engine)
    return Database(engine)


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    """WAL: readers and the writer do not block each other. FULL: a commit survives power loss."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    """Writers begin IMMEDIATE: they wait for the lock here, where that is safe, not at their first write."""
    writes = connection.get_execution_options().get("afternorm_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
