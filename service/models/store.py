"""Models in the database."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from service.db.newest_first import newest
from service.db.tables import models
from service.errors import InvalidError, NotFoundError
from service.kit.file_source import StoredFile, reference
from service.kit.ids import new_id
from service.models.resources import Model, ModelRequest

#: The column ``weights`` is the converted file; the field is what was asked for.
_COLUMNS = [
    *(models.c[name] for name in Model.model_fields if name != "weights"),
    models.c.asked_weights.label("weights"),
]


def add(connection: Connection, request: ModelRequest, file: StoredFile, factories: Sequence[str]) -> str:
    """Register a model, which is not checked yet; raises InvalidError for a file or factory that is not permitted."""
    _check(request, file, factories)
    identity = new_id("mdl")
    given = request.model_dump(mode="json", exclude={"upload", "blob", "file_name", "name", "weights"})
    connection.execute(
        insert(models).values(
            id=identity,
            name=request.name or file.name,
            file_name=file.safe_name,
            blob=file.sha256,
            state="checking",
            created_at=time.time(),
            asked_weights=request.weights,
            **given,
        )
    )
    return identity


def get(connection: Connection, identity: str) -> Model:
    """The model; raises NotFoundError where there is none."""
    row = connection.execute(select(*_COLUMNS).where(models.c.id == identity)).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no model {identity!r}; GET /v1/models lists all.")
    return _resource(dict(row))


def find(connection: Connection, *, after: str | None, limit: int) -> Sequence[Model]:
    """At most ``limit`` models, newest first, older than ``after``."""
    wanted = newest(models, _COLUMNS, after=after, limit=limit)
    return [_resource(dict(row)) for row in connection.execute(wanted).mappings()]


def state(connection: Connection, identity: str) -> str | None:
    """The model's state; None where there is no such model."""
    return connection.scalar(select(models.c.state).where(models.c.id == identity))


def remove(connection: Connection, identity: str) -> None:
    """Delete the model."""
    connection.execute(delete(models).where(models.c.id == identity))


def _check(request: ModelRequest, file: StoredFile, factories: Sequence[str]) -> None:
    if file.safe_name.lower().endswith(".pt2"):
        raise InvalidError(
            f"{file.name!r} is a torch.export program, and opening one runs code from the file, so the server does not "
            "open any; upload the checkpoint and name its architecture.",
            [("file_name" if request.blob else "upload", "a .pt2 file is not permitted")],
        )
    if request.architecture and ":" in request.architecture and request.architecture not in factories:
        allowed = ", ".join(factories) or "none"
        raise InvalidError(
            f"the factory {request.architecture!r} is not permitted on this server (AFTERNORM_FACTORIES: "
            f"{allowed}); name an architecture such as torchvision/resnet50, or ask the operator to allow it.",
            [("architecture", "not an allowed factory")],
        )


def _resource(row: dict[str, Any]) -> Model:
    return Model.model_validate(row | {"blob": reference(row["blob"])})
