"""Open the database; read and write transactions."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from service.db.upgrade import migrate

FILE = "afternorm.sqlite3"
BUSY_SECONDS = 10.0


def is_busy(error: BaseException | None) -> bool:
    """Whether SQLite gave up since another held the lock: whoever waits may try again."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


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
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn WAL on. A new database needs a lock for that, and SQLite's own timeout does not wait for this one."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    """Writers begin IMMEDIATE: they wait for the lock here, where that is safe, not at their first write."""
    writes = connection.get_execution_options().get("afternorm_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
