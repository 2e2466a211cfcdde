"""File storage: blobs by the SHA-256 of their content, and partial uploads."""

from service.storage.blobs import Blob, Blobs
from service.storage.partials import Partial, Partials

__all__ = ["Blob", "Blobs", "Partial", "Partials"]
