"""Uploads in the REST API: requests and responses."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from calibrate.values import Value
from service.kit.file_source import BlobReference, Digest, Identity, Name


class UploadRequest(Value):
    """A file to upload: its ``name``, whose suffix gives the format, and its ``size`` in bytes."""

    name: Name
    size: Annotated[int, Field(ge=1)]
    sha256: Digest | None = None


class Upload(Value):
    """An upload: ``offset`` of ``size`` bytes were received; once complete, it has a ``blob``."""

    id: Identity
    name: str
    size: int
    sha256: Digest | None
    offset: Annotated[int, Field(ge=0)]
    blob: BlobReference | None
    created_at: datetime
    expires_at: datetime
