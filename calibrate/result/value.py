"""The value: what every part of a summary is made of."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen, and closed to fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
