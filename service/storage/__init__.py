"""Bytes: blobs by the SHA-256 of their content, and uploads that are not complete yet."""

from service.storage.blobs import Blob, Blobs
from service.storage.partials import Partial, Partials

__all__ = ["Blob", "Blobs", "Partial", "Partials"]
