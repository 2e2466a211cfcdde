"""``/v1/blobs``: stored bytes by their SHA-256."""

from typing import Annotated

from fastapi import Path, Request, Response

from service.api.answers import router
from service.api.state import Kept
from service.api.stored_file import GET_ANSWERS, HEAD_ANSWERS, file_response
from service.kit.file_source import Digest
from service.uploads import store

blobs = router("/v1/blobs", "blobs")

Sha256 = Annotated[Digest, Path()]


@blobs.get("/sha256:{sha256}", response_class=Response, responses=GET_ANSWERS)
async def get_blob(sha256: Sha256, request: Request, kept: Kept) -> Response:
    """Fetch stored bytes, or with Range some of them."""
    with kept.database.read() as connection:
        store.blob_size(connection, sha256)
    return file_response(request, kept, sha256, sha256, "application/octet-stream")


@blobs.head("/sha256:{sha256}", response_class=Response, responses=HEAD_ANSWERS)
async def head_blob(sha256: Sha256, request: Request, kept: Kept) -> Response:
    """Ask whether bytes are stored, and how many they are."""
    return await get_blob(sha256, request, kept)
