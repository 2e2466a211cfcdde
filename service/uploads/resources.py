"""Uploads as clients ask for them and see them."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from calibrate.values import Value
from service.kit.file_source import BlobReference, Digest, Identity, Name


class UploadRequest(Value):
    """A file that is to arrive: its ``name``, whose ending says how it is read, and its ``size`` in bytes."""

    name: Name
    size: Annotated[int, Field(ge=1)]
    sha256: Digest | None = None


class Upload(Value):
    """An upload as it stands: ``offset`` of ``size`` bytes have arrived; once complete, it names its ``blob``."""

    id: Identity
    name: str
    size: int
    sha256: Digest | None
    offset: Annotated[int, Field(ge=0)]
    blob: BlobReference | None
    created_at: datetime
    expires_at: datetime
