"""The file of a new model or dataset: an upload, or a blob that the server has already."""

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from calibrate.values import Value

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal")]
BlobReference = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="as in /v1/blobs/sha256:...")]
#: A safe file name: without separators and leading dots, so that it cannot lead out of its folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Identity = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class FileSource(Value):
    """A completed ``upload``, or a ``blob`` with a ``file_name``, whose suffix gives the format."""

    upload: Identity | None = None
    blob: BlobReference | None = None
    file_name: Annotated[Name | None, Field(description="of the blob; an upload has its own")] = None

    @model_validator(mode="after")
    def _one_file(self) -> Self:
        if (self.upload is None) == (self.blob is None):
            raise ValueError("give either upload or blob, not both")
        if (self.blob is None) != (self.file_name is None):
            raise ValueError("give file_name with blob, and only then; an upload has its own")
        return self


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A blob and the name under which it was uploaded."""

    sha256: str
    name: str

    @property
    def safe_name(self) -> str:
        """The last part of the name in letters, digits and ``._-``, at most 100 of them, with its suffixes.

        >>> StoredFile("", "../../réseau (1).tar.gz").safe_name
        'r_seau_1_.tar.gz'
        """
        last = re.split(r"[/\\]", self.name)[-1]
        return re.sub(r"[^A-Za-z0-9._-]+", "_", last)[-100:].lstrip("._-") or "file"


def reference(sha256: str) -> str:
    """The blob's name in the REST API."""
    return f"sha256:{sha256}"
