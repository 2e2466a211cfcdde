"""``/livez``, ``/readyz`` and ``/metrics``: for operators."""

import os
from typing import Literal

from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.api.backend import BackendDep
from service.api.responses import json_response, problems, response, router
from service.errors import UnavailableError

health = router("", "health")


class Alive(BaseModel):
    """The process is running."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The database can be read, and files can be written."""

    status: Literal["ready"] = "ready"


@health.get("/livez", responses=response(200, "Alive", Alive) | problems())
async def livez() -> Response:
    """Check that the process is running."""
    return json_response(Alive())


@health.get("/readyz", responses=response(200, "Ready", Ready) | problems())
def readyz(backend: BackendDep) -> Response:
    """Check that the database can be read and files can be written; 503 if not."""
    try:
        with backend.database.read() as connection:
            connection.execute(text("SELECT count(*) FROM blobs"))
    except SQLAlchemyError:
        raise UnavailableError("the database cannot be read; the server's log has the reason.") from None
    if not os.access(backend.settings.data_dir, os.W_OK):
        raise UnavailableError("the data directory is not writable; its operator can correct its permissions.")
    return json_response(Ready())


_METRICS = response(200, "In Prometheus' text format", content={"text/plain": {"schema": {"type": "string"}}})


@health.get("/metrics", response_class=Response, responses=_METRICS | problems())
def metrics(request: Request) -> Response:
    """Read the metrics."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
