"""The settings, database and files that every operation uses, as a FastAPI dependency."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.db import Database
from service.settings import Settings
from service.storage import Blobs, Partials


@dataclass(frozen=True, slots=True)
class Backend:
    """The server's settings, database, blobs and partial uploads."""

    settings: Settings
    database: Database
    blobs: Blobs
    partials: Partials


async def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


BackendDep = Annotated[Backend, Depends(_backend)]
