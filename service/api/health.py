"""``/livez``, ``/readyz`` and ``/metrics``: for whoever operates the server."""

import os
from typing import Literal

from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.api.answers import answer, json_response, problems, router
from service.api.state import Kept
from service.errors import UnavailableError

health = router("", "health")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The database can be read, and files can be written."""

    status: Literal["ready"] = "ready"


@health.get("/livez", responses=answer(200, "It answers", Alive) | problems())
async def livez() -> Response:
    """Say that the process answers."""
    return json_response(Alive())


@health.get("/readyz", responses=answer(200, "It can work", Ready) | problems())
def readyz(kept: Kept) -> Response:
    """Say whether the server can work: 503 where it cannot."""
    try:
        with kept.database.read() as connection:
            connection.execute(text("SELECT count(*) FROM blobs"))
    except SQLAlchemyError:
        raise UnavailableError("the database cannot be read; its operator finds why in the log.") from None
    if not os.access(kept.settings.data_dir, os.W_OK):
        raise UnavailableError("the data folder cannot be written to; its operator may correct its permissions.")
    return json_response(Ready())


_METRICS = answer(200, "In Prometheus' text format", content={"text/plain": {"schema": {"type": "string"}}})


@health.get("/metrics", response_class=Response, responses=_METRICS | problems())
def metrics(request: Request) -> Response:
    """Give the metrics."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
