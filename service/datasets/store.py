"""Datasets in the database."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from service.datasets.resources import Dataset, DatasetRequest
from service.db.newest_first import newest
from service.db.tables import datasets
from service.errors import NotFoundError
from service.kit.file_source import StoredFile, reference
from service.kit.ids import new_id

_COLUMNS = [datasets.c[name] for name in Dataset.model_fields]


def add(connection: Connection, request: DatasetRequest, file: StoredFile) -> str:
    """Register a dataset, which is not checked yet."""
    identity = new_id("dst")
    given = request.model_dump(mode="json", exclude={"upload", "blob", "file_name", "name"})
    connection.execute(
        insert(datasets).values(
            id=identity,
            name=request.name or file.name,
            file_name=file.safe_name,
            blob=file.sha256,
            state="checking",
            created_at=time.time(),
            **given,
        )
    )
    return identity


def get(connection: Connection, identity: str) -> Dataset:
    """The dataset; raises NotFoundError where there is none."""
    row = connection.execute(select(*_COLUMNS).where(datasets.c.id == identity)).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no dataset {identity!r}; GET /v1/datasets lists all.")
    return _resource(dict(row))


def find(connection: Connection, *, after: str | None, limit: int) -> Sequence[Dataset]:
    """At most ``limit`` datasets, newest first, older than ``after``."""
    wanted = newest(datasets, _COLUMNS, after=after, limit=limit)
    return [_resource(dict(row)) for row in connection.execute(wanted).mappings()]


def state(connection: Connection, identity: str) -> str | None:
    """The dataset's state; None where there is no such dataset."""
    return connection.scalar(select(datasets.c.state).where(datasets.c.id == identity))


def has_labels(connection: Connection, identity: str) -> bool:
    """Whether the examples have labels, by the facts of the check."""
    facts = connection.scalar(select(datasets.c.facts).where(datasets.c.id == identity)) or {}
    return "classes" not in facts or facts["classes"] is not None


def remove(connection: Connection, identity: str) -> None:
    """Delete the dataset."""
    connection.execute(delete(datasets).where(datasets.c.id == identity))


def _resource(row: dict[str, Any]) -> Dataset:
    return Dataset.model_validate(row | {"blob": reference(row["blob"])})
