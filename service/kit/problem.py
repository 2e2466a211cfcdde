"""Problem details: the errors that clients see (RFC 9457)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """An invalid field of a request."""

    model_config = ConfigDict(frozen=True)

    path: Annotated[str, Field(description="JSON path, as in recipe.steps[0].alpha")]
    message: str


class Problem(BaseModel):
    """Why a request or a job failed: ``code`` is stable, ``detail`` says what to do next."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    errors: tuple[FieldProblem, ...] = ()
