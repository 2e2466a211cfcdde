"""What every operation works with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.db import Database
from service.settings import Settings
from service.storage import Blobs, Partials


@dataclass(frozen=True, slots=True)
class State:
    """The server's settings and all that it keeps."""

    settings: Settings
    database: Database
    blobs: Blobs
    partials: Partials


async def _state(request: Request) -> State:
    state: State = request.app.state.kept
    return state


Kept = Annotated[State, Depends(_state)]
